"""When the writing thread tells the loop what a group has come to."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from service.domain.errors import StoreUnavailable
from service.store import group_writer
from service.store.engine import Tx
from service.store.group_writer import GroupWriter


class Database:
    """Commits nothing; a commit waits until it is let through, and so does a job of its own that waits for `gate`."""

    def __init__(self, in_process: bool) -> None:
        self.in_process = in_process
        self.commits = threading.Semaphore(0)
        self.committing = threading.Semaphore(0)
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.begins = 0
        self.held_at = 0

    def begin(self, waits: Callable[[], None], /) -> Tx:
        self.begins += 1
        if self.begins == self.held_at:  # as when another process has the lock
            waits()
            assert self.gate.wait(10)
        return cast(Tx, None)

    def commit(self) -> None:
        self.committing.release()
        assert self.commits.acquire(timeout=10)

    def roll_back(self) -> None:
        """Nothing was begun."""

    def drop(self) -> None:
        """Nothing is open."""

    def of_the_job(self, error: Exception) -> bool:
        return True

    def in_the_way(self, error: Exception, /) -> bool:
        return False

    def trouble(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(str(error))

    def job(self, _: Tx) -> str:
        self.waiting.set()
        assert self.gate.wait(10)
        return "long"


def twice(_: Tx, items: Sequence[int]) -> Sequence[int]:
    return [2 * item for item in items]


def nothing(_: Tx, items: Sequence[object]) -> Sequence[None]:
    return [None for _ in items]


def but_for_two(_: Tx, items: Sequence[int]) -> Sequence[int]:
    if 2 in items:
        raise ValueError("two")
    return [2 * item for item in items]


def reached(semaphore: threading.Semaphore) -> Any:
    return asyncio.to_thread(semaphore.acquire, timeout=10)


def started(in_process: bool) -> tuple[Database, GroupWriter]:
    database = Database(in_process)
    writer = GroupWriter(database, "test")
    writer.start()
    return database, writer


async def ended(database: Database, writer: GroupWriter) -> None:
    database.gate.set()
    for _ in range(10):
        database.commits.release()
    writer.finish()
    await asyncio.to_thread(writer.join)


@pytest.mark.parametrize("in_process", [True, False])
async def test_a_group_is_handed_back_at_the_latest_while_the_next_one_waits_for_the_disk(in_process: bool) -> None:
    database, writer = started(in_process)
    first = writer.write_joined(twice, [1])
    assert await reached(database.committing)
    second = writer.write_joined(twice, [2, 3])
    await asyncio.sleep(0)  # until it is passed on
    database.commits.release()
    assert await reached(database.committing)
    assert await asyncio.wait_for(first, 10) == [2]
    assert not second.done()
    database.commits.release()
    assert await asyncio.wait_for(second, 10) == [4, 6]  # nothing is behind it
    await ended(database, writer)


async def test_no_group_waits_for_a_long_job(  # such as the removal of what is past its retention
) -> None:
    database, writer = started(in_process=True)
    first = writer.write_joined(twice, [1])
    assert await reached(database.committing)
    long = writer.write(database.job)
    await asyncio.sleep(0)
    database.commits.release()
    await asyncio.to_thread(database.waiting.wait, 10)
    assert await asyncio.wait_for(first, 10) == [2]
    assert not long.done()
    await ended(database, writer)
    assert await long == "long"


async def test_no_group_waits_for_another_process() -> None:
    database, writer = started(in_process=True)
    database.held_at = 2
    first = writer.write_joined(twice, [1])
    assert await reached(database.committing)
    second = writer.write_joined(twice, [2])
    await asyncio.sleep(0)
    database.commits.release()
    assert await asyncio.wait_for(first, 10) == [2]
    assert not second.done()
    await ended(database, writer)
    assert await second == [4]


async def test_what_was_committed_last_is_handed_back_at_the_end() -> None:
    database, writer = started(in_process=True)
    futures = [writer.write_joined(twice, [1])]
    assert await reached(database.committing)
    futures.append(writer.write_joined(twice, [2]))
    await ended(database, writer)
    assert [await asyncio.wait_for(future, 10) for future in futures] == [[2], [4]]


async def test_nothing_comes_of_nothing() -> None:
    database, writer = started(in_process=True)
    assert await asyncio.wait_for(writer.write_joined(twice, []), 10) == []
    assert database.begins == 0
    await ended(database, writer)


async def test_what_fails_takes_nothing_along_that_was_given_with_it() -> None:
    database, writer = started(in_process=True)
    for _ in range(3):
        database.commits.release()
    one, other = await asyncio.gather(writer.write_joined(but_for_two, [1, 2, 3]), writer.write_joined(twice, [4]))
    assert [one[0], str(one[1]), one[2], *other] == [2, "two", 6, 8]
    await ended(database, writer)


async def test_whoever_has_gone_away_is_not_told() -> None:
    database, writer = started(in_process=True)
    gone, there = writer.write_joined(twice, [1, 2]), writer.write_joined(twice, [3])
    assert await reached(database.committing)
    gone.cancel()
    database.commits.release()
    assert await asyncio.wait_for(there, 10) == [6]
    await ended(database, writer)


async def test_while_a_commit_is_waited_for_the_loop_does_what_could_wait() -> None:
    database, writer = started(in_process=True)
    done: list[str] = []
    writer.meanwhile = lambda: done.append("spare")
    first = writer.write_joined(twice, [1])
    first.add_done_callback(lambda _: done.append("first"))
    assert await reached(database.committing)
    await asyncio.sleep(0)
    assert done == ["spare"]
    second = writer.write_joined(twice, [2])
    await asyncio.sleep(0)  # until it is passed on
    database.commits.release()
    assert await reached(database.committing)
    await asyncio.wait_for(first, 10)
    await asyncio.sleep(0)
    assert (done, second.done()) == (["spare", "first", "spare"], False)  # who waits for a commit comes before it
    await ended(database, writer)
    assert await asyncio.wait_for(second, 10) == [4]


class Thing:
    """Whatever a job holds."""


@pytest.mark.parametrize("another", [True, False], ids=["another commit", "none"])
async def test_what_jobs_held_is_let_go_of_when_there_is_time(monkeypatch: pytest.MonkeyPatch, another: bool) -> None:
    monkeypatch.setattr(group_writer, "_SPENT_SECONDS", 3600 if another else 0.01)
    database, writer = started(in_process=True)
    thing = Thing()
    held = weakref.ref(thing)
    stored = writer.write_joined(nothing, [thing])
    del thing
    assert await reached(database.committing)
    await asyncio.sleep(0)  # what this commit gives time for is done
    database.commits.release()
    await asyncio.wait_for(stored, 10)
    if another:
        assert held() is not None  # its request was to be answered first
        database.commits.release()
        await asyncio.wait_for(writer.write_joined(twice, [1]), 10)
    async with asyncio.timeout(10):
        while held() is not None:
            await asyncio.sleep(0.001)
    await ended(database, writer)


async def test_where_nothing_is_committed_no_more_is_kept_than_of_two_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_writer, "_SPENT", 1)
    database, writer = started(in_process=True)

    def broken(_: Callable[[], None], /) -> Tx:
        raise OSError("the disk is away")

    monkeypatch.setattr(database, "begin", broken)
    held: list[weakref.ref[Thing]] = []
    for _ in range(5):
        thing = Thing()
        held.append(weakref.ref(thing))
        (outcome,) = await asyncio.wait_for(writer.write_joined(nothing, [thing]), 10)
        assert isinstance(outcome, StoreUnavailable)
        del thing, outcome
    assert sum(one() is not None for one in held) <= 2
    await ended(database, writer)
