"""Several processes that take in, claim and settle at once on PostgreSQL, in any order a seed makes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count
from random import Random

import pytest
from support.stored import Rules, accept, at, attempt, event, receipt, states, wanted

from service.domain.attempts import Settlement
from service.domain.ids import new_id
from service.domain.purges import Action, Purge, PurgeState
from service.store.engine import Engine, Tx
from service.store.inbox import Inbox
from service.store.lanes import RENEW_AFTER, LeasedLanes
from service.store.postgres import PostgresEngine
from service.store.queue import Queue

IMAGES = [f"https://img.example.com/{number}.jpg" for number in range(6)]
EVENTS, PROCESSES = 40, 3
WAITS_TWICE = (
    "SELECT src_image FROM purges WHERE state = 'pending' GROUP BY project, src_image, action HAVING COUNT(*) > 1"
)


class Model:
    """What was asked for and what calls were made, in the order in which this loop saw it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - the same story for the same seed, as far as threads allow
        self.steps = count()
        self.asked_at: dict[str, int] = {}
        self.called_at: dict[str, int] = {}
        self.in_call: Counter[str] = Counter()
        self.taking_in = True

    async def take_in(self, engine: Engine, name: str) -> None:
        for number in range(EVENTS):
            image = self.random.choice(IMAGES)
            purge = wanted(image, self.random.choice(list(Action)))
            begun = next(self.steps)
            await accept(Inbox(engine), receipt(f"{name}-{number}"), [event(id=f"{name}-{image}")], Rules(purge))
            self.asked_at[image] = max(begun, self.asked_at.get(image, 0))

    async def call(self, engine: Engine) -> None:
        queue = Queue(engine)
        while True:
            last_look = not self.taking_in
            purges = await queue.claim("shop", "worker", at(1000), self.random.randint(1, 4))
            returned = next(self.steps)
            for purge in purges:
                self.in_call[purge.id] += 1
                assert self.in_call[purge.id] == 1, "claimed twice"
            if not purges:
                if last_look and not self.in_call.total():
                    return
                await asyncio.sleep(0)
                continue
            await asyncio.sleep(0)
            await self._end(queue, purges, returned)

    async def _end(self, queue: Queue, purges: Sequence[Purge], returned: int) -> None:
        how = self.random.choice(["done", "done", "again", "never made"])
        for purge in purges:
            del self.in_call[purge.id]  # from here on another may have it
        if how == "never made":
            await queue.release(purges)
            return
        state = PurgeState.DONE if how == "done" else PurgeState.PENDING
        again = None if how == "done" else at(0)
        ends = [Settlement(purge=purge, state=state, due_at=again) for purge in purges]
        await queue.settle(attempt(new_id("call", at(0))), purges, ends)
        if how == "done":
            for purge in purges:
                self.called_at[purge.src_image] = max(returned, self.called_at.get(purge.src_image, 0))

    async def look(self, engine: Engine) -> None:
        def twice(tx: Tx) -> list[object]:
            return list(tx.connection.execute(WAITS_TWICE))

        while self.taking_in:
            assert await engine.read(twice) == [], "an image waits twice"
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(6))
async def test_no_purge_is_claimed_twice_none_is_lost_and_none_waits_twice(postgres_url: str, seed: int) -> None:
    model = Model(seed)
    async with AsyncExitStack() as stack:
        engines = [await PostgresEngine.open(postgres_url) for _ in range(PROCESSES)]
        for engine in engines:
            stack.push_async_callback(engine.close)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            calling = [group.create_task(model.call(engine)) for engine in engines]
            looking = group.create_task(model.look(engines[0]))
            await asyncio.gather(*(model.take_in(engine, f"p{at}") for at, engine in enumerate(engines)))
            model.taking_in = False
            await asyncio.gather(looking, *calling)
        left = await states(engines[0])
    assert set(left.values()) <= {PurgeState.DONE, PurgeState.SUPERSEDED}, "all that was asked for has ended"
    assert {image for image, begun in model.asked_at.items() if model.called_at.get(image, -1) < begun} == set()


@pytest.mark.parametrize("seed", range(4))
async def test_whoever_joins_and_leaves_no_lane_has_two_owners(postgres_url: str, seed: int) -> None:
    """Processes that take, keep and give up lanes in any order, all at once; no lease ends meanwhile."""
    random = Random(seed)  # noqa: S311 - as above
    projects = [f"p{number}" for number in range(random.randint(1, 7))]
    owners: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        engines = [await PostgresEngine.open(postgres_url) for _ in range(4)]
        for engine in engines:
            stack.push_async_callback(engine.close)

        async def live(engine: PostgresEngine, name: str) -> None:
            now = 0.0
            lanes = LeasedLanes(engine, name, 60, lambda: now)
            mine: set[str] = set()
            for _ in range(8):
                now += RENEW_AFTER
                for project in mine - (kept := set(random.sample(sorted(mine), len(mine) // 2))):
                    del owners[project]
                    await lanes.give_up(project)
                mine = kept
                # What it may lose to its share is nobody's from the moment of asking.
                for project in mine:
                    del owners[project]
                mine = set(await lanes.own(projects))
                for project in mine:
                    assert owners.setdefault(project, name) == name, "two processes have one lane"

        async with asyncio.timeout(60):
            await asyncio.gather(*(live(engine, f"w{number}") for number, engine in enumerate(engines)))
        assert [engine.stats.failures for engine in engines] == [0] * 4, "none was in another's way"
