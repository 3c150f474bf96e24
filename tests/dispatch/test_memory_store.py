"""The store in memory does what the real one does: every case on both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from support.memory_store import MemoryBoard, MemoryQueue

from service.dispatch.ports import Board, Queue
from service.domain.attempts import Attempt, Settlement
from service.domain.holds import Hold, HoldKind
from service.domain.purges import Action, PlannedPurge, Purge, PurgeState
from service.store import open_store
from service.store.board import Board as StoredBoard
from service.store.engine import Engine
from service.store.purges import Purges
from service.store.queue import Queue as StoredQueue
from service.store.queueing import queue_purges

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
ATTEMPT = Attempt(call_id="call_1", at=NOW, images=1, status=503, outcome="transient", reason="503", duration_ms=5)


class Store(Protocol):
    queue: Queue
    board: Board

    async def add(
        self, image: str, action: Action = Action.DELETE, deadline: int = 60, *, ago: float = 0, project: str = "shop"
    ) -> str:
        """A purge that came `ago` seconds before NOW and is due at once; its id."""
        ...

    async def get(self, purge_id: str) -> Purge: ...


class InMemory:
    def __init__(self) -> None:
        self._now = NOW
        self.memory = MemoryQueue(lambda: self._now)
        self.queue: Queue = self.memory
        self.board: Board = MemoryBoard()

    async def add(
        self, image: str, action: Action = Action.DELETE, deadline: int = 60, *, ago: float = 0, project: str = "shop"
    ) -> str:
        self._now = NOW - timedelta(seconds=ago)
        return self.memory.add(project, image, action=action, deadline=deadline)[0]

    async def get(self, purge_id: str) -> Purge:
        return self.memory.purges[purge_id]


class OnDisk:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.queue: Queue = StoredQueue(engine)
        self.board: Board = StoredBoard(engine)

    async def add(
        self, image: str, action: Action = Action.DELETE, deadline: int = 60, *, ago: float = 0, project: str = "shop"
    ) -> str:
        planned = PlannedPurge(
            project=project, action=action, src_image=image, deadline=deadline, settle=0, rule="r", template="t"
        )
        (purge_id,) = await self._engine.write(lambda tx: queue_purges(tx, [(planned, NOW - timedelta(seconds=ago))]))
        return purge_id

    async def get(self, purge_id: str) -> Purge:
        story = await Purges(self._engine).get(purge_id)
        assert story is not None
        return story.purge


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield InMemory()
        return
    engine = await open_store(f"sqlite:///{tmp_path}/relay.db")
    yield OnDisk(engine)
    await engine.close()


async def claimed(store: Store, limit: int = 8) -> list[Purge]:
    return list(await store.queue.claim("shop", "test:1", NOW, limit))


async def test_oldest_first_of_one_action_and_one_deadline(store: Store) -> None:
    await store.add("/new", ago=1)
    await store.add("/old", ago=9)
    await store.add("/invalid", Action.INVALIDATE, 0, ago=5)
    await store.add("/later", deadline=0, ago=4)
    await store.add("/elsewhere", ago=20, project="blog")
    assert await store.queue.projects() == ["blog", "shop"]
    assert await store.queue.next_due_at("shop") == NOW - timedelta(seconds=9)
    got = [[(one.src_image, one.attempts, one.state) for one in await claimed(store)] for _ in range(4)]
    assert got == [
        [("/old", 1, PurgeState.CLAIMED), ("/new", 1, PurgeState.CLAIMED)],
        [("/invalid", 1, PurgeState.CLAIMED)],
        [("/later", 1, PurgeState.CLAIMED)],
        [],
    ]
    assert await store.queue.next_due_at("shop") is None


async def test_no_more_than_asked_for_and_nothing_that_is_not_due(store: Store) -> None:
    for number in range(3):
        await store.add(f"/{number}", ago=3 - number)
    await store.add("/not-yet", ago=-5)
    assert [[one.src_image for one in await claimed(store, 2)] for _ in range(3)] == [["/0", "/1"], ["/2"], []]


async def test_an_image_in_a_call_waits_for_its_end(store: Store) -> None:
    await store.add("/a", ago=2)
    (first,) = await claimed(store)
    second = await store.add("/a", ago=1)
    assert second != first.id
    assert await claimed(store) == []
    assert await store.queue.next_due_at("shop") is None
    await store.queue.settle(ATTEMPT, [first], [Settlement(purge=first, state=PurgeState.DONE)])
    assert [one.id for one in await claimed(store)] == [second]
    done = await store.get(first.id)
    assert (done.state, done.finished_at) == (PurgeState.DONE, NOW)


async def test_put_back_with_what_is_known_of_it(store: Store) -> None:
    await store.add("/a", ago=2)
    (purge,) = await claimed(store)
    again = Settlement(
        purge=purge,
        state=PurgeState.PENDING,
        last_error="503",
        due_at=NOW + timedelta(seconds=5),
        failing_since=NOW - timedelta(seconds=1),
    )
    await store.queue.settle(ATTEMPT, [purge], [again])
    stored = await store.get(purge.id)
    assert (stored.state, stored.last_error, stored.due_at, stored.failing_since, stored.attempts) == (
        PurgeState.PENDING,
        "503",
        NOW + timedelta(seconds=5),
        NOW - timedelta(seconds=1),
        1,
    )
    assert await claimed(store) == []


@pytest.mark.parametrize(
    ("pair", "survivor", "deadline"),
    [
        (((Action.DELETE, 0), (Action.DELETE, 60)), "second", 0),
        (((Action.DELETE, 60), (Action.DELETE, 0)), "second", 0),
        (((Action.INVALIDATE, 0), (Action.INVALIDATE, 0)), "second", 0),
        (((Action.INVALIDATE, 0), (Action.DELETE, 60)), "second", 60),
        (((Action.DELETE, 60), (Action.INVALIDATE, 0)), "first", 60),
    ],
)
@pytest.mark.parametrize("how", ["settle", "release", "recover"])
async def test_one_put_back_while_a_newer_one_waits(
    store: Store, pair: tuple[tuple[Action, int], tuple[Action, int]], survivor: str, deadline: int, how: str
) -> None:
    await store.add("/a", *pair[0], ago=2)
    (purge,) = await claimed(store)
    newer = await store.add("/a", *pair[1], ago=1)
    if how == "settle":
        back = Settlement(purge=purge, state=PurgeState.PENDING, last_error="503", due_at=NOW, failing_since=NOW)
        await store.queue.settle(ATTEMPT, [purge], [back])
    elif how == "release":
        await store.queue.release([purge])
    else:
        assert await store.queue.recover("shop") == 1
    ids = {"first": purge.id, "second": newer}
    living = await store.get(ids.pop(survivor))
    (ended,) = [await store.get(other) for other in ids.values()]
    assert (living.state, living.deadline) == (PurgeState.PENDING, deadline)
    assert (ended.state, ended.superseded_by) == (PurgeState.SUPERSEDED, living.id)
    failing = how == "settle"
    assert (living.events, living.failing_since) == (2, NOW if failing else None)
    assert living.attempts == (1 if failing or (survivor == "first" and how == "recover") else 0)


async def test_released_is_as_if_it_had_not_been_claimed(store: Store) -> None:
    purge_id = await store.add("/a", ago=2)
    before = await store.get(purge_id)
    await store.queue.release(await claimed(store))
    assert await store.get(purge_id) == before


async def test_recovered_is_due_again_and_counts_its_attempt(store: Store) -> None:
    purge_id = await store.add("/a", ago=2)
    before = await store.get(purge_id)
    await claimed(store)
    assert [await store.queue.recover("shop"), await store.queue.recover("shop")] == [1, 0]
    after = await store.get(purge_id)
    assert (after.state, after.due_at, after.attempts) == (PurgeState.PENDING, before.due_at, 1)


async def test_orphans_end_when_they_are_old(store: Store) -> None:
    old, new = await store.add("/old", ago=100), await store.add("/new", ago=10)
    assert await store.queue.bury_orphans("shop", NOW - timedelta(seconds=50), NOW, "unknown project") == 1
    buried = await store.get(old)
    assert (buried.state, buried.last_error, buried.finished_at) == (PurgeState.DEAD, "unknown project", NOW)
    assert (await store.get(new)).state is PurgeState.PENDING


@pytest.mark.parametrize(
    ("pair", "kind", "reason", "released"),
    [
        ((HoldKind.AUTO, HoldKind.AUTO), HoldKind.AUTO, "second", True),
        ((HoldKind.AUTO, HoldKind.MANUAL), HoldKind.MANUAL, "second", False),
        ((HoldKind.MANUAL, HoldKind.AUTO), HoldKind.MANUAL, "first", False),
        ((HoldKind.MANUAL, HoldKind.MANUAL), HoldKind.MANUAL, "second", False),
    ],
)
async def test_holds(
    store: Store, pair: tuple[HoldKind, HoldKind], kind: HoldKind, reason: str, released: bool
) -> None:
    for number, (which, why) in enumerate([(pair[0], "first"), (pair[1], "second")]):
        moment = NOW + timedelta(seconds=number)
        await store.board.hold(
            Hold(project="shop", kind=which, reason=why, credential="f", since=moment, probe_at=moment)
        )
    held = (await store.board.holds())["shop"]
    assert (held.kind, held.reason) == (kind, reason)
    assert held.since == NOW + timedelta(seconds=1 if pair[0] is not pair[1] and reason == "second" else 0)
    await store.board.release("shop")
    assert (await store.board.holds() == {}) is released


async def test_budgets(store: Store) -> None:
    for seconds in (5, 30, 10):
        await store.board.block("f1", NOW + timedelta(seconds=seconds))
    await store.board.block("f2", NOW + timedelta(seconds=1))
    assert await store.board.quotas(NOW) == {
        "f1": NOW + timedelta(seconds=30),
        "f2": NOW + timedelta(seconds=1),
    }
    assert await store.board.quotas(NOW + timedelta(seconds=1)) == {"f1": NOW + timedelta(seconds=30)}
