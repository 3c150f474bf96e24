"""The database's clock is everybody's: what a machine's own is off by is found, added, and no more than that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.told import logged

from service.domain.clock import EPOCH
from service.domain.errors import StoreUnavailable
from service.store import postgres, postgres_clock
from service.store.postgres import PostgresEngine
from service.store.postgres_clock import DatabaseClock

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Machines:
    """A database, the machine that asks it, and the way between; seconds. Each answer takes the next of `ways`."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.passed = 0.0
        self.ways: list[tuple[float, float]] = []
        self.clock = DatabaseClock(self.machine, lambda: self.passed)

    def machine(self) -> float:
        return NOON.timestamp() + self.passed + self.ahead

    def own(self) -> datetime:
        return EPOCH + timedelta(seconds=self.machine())

    def value(self, statement: str) -> float:
        assert statement == "database_time"
        there, back = self.ways.pop(0) if self.ways else (0.001, 0.001)
        self.passed += there
        answer = NOON.timestamp() + self.passed
        self.passed += back
        return answer

    def off(self, ahead: float, *ways: tuple[float, float]) -> float:
        """By how much the corrected clock is off after a look, with this machine so far ahead."""
        self.ahead, self.ways = ahead, list(ways)
        tx: Any = self
        self.clock.look(tx)
        right = NOON + timedelta(seconds=self.passed)
        return round((self.clock.corrected(self.own)() - right).total_seconds(), 1)


SLOW = (3.0, 0.0)
"""A way on which all time goes by before the database looks at its clock: half of it is taken for the way back."""


@pytest.mark.parametrize(
    ("ahead", "ways", "off"),
    [
        (600, [], 0),
        (-600, [], 0),
        (1.2, [], 0),
        (0.9, [], 0.9),
        (-0.9, [], -0.9),
        (0, [SLOW] * 3, 0),
        (0.9, [SLOW] * 3, 0.9),
        (-0.9, [SLOW] * 3, -0.9),
        (600, [SLOW] * 3, 1.5),
        (600, [SLOW, (0.001, 0.001), SLOW], 0),
    ],
    ids=[
        "ahead", "behind", "a little more than a second", "ahead by less than a second", "behind by less",
        "right, on a slow way", "ahead by less, on a slow way", "behind by less, on a slow way",
        "ahead, on a slow way", "the fastest answer counts",
    ],
)  # fmt: skip
def test_what_is_off_by_a_second_or_more_is_put_right(
    ahead: float, ways: list[tuple[float, float]], off: float
) -> None:
    assert Machines().off(ahead, *ways) == off


def test_a_clock_that_is_right_is_the_machine_s_own() -> None:
    machines = Machines()
    machines.off(0)
    before = machines.passed
    assert machines.clock.corrected(lambda: NOON)() is NOON
    assert machines.passed == before, "nobody is asked"


def test_what_is_added_stays_while_it_is_right_to_a_second() -> None:
    machines = Machines()
    assert [machines.off(ahead) for ahead in (600, 600.4, 599.4, 600.9, 601.5, 600.9)] == [0, 0.4, -0.6, 0.9, 0, -0.6]


def test_each_change_is_told_once() -> None:
    machines = Machines()
    with logged() as told:
        for ahead in (0, 0.5, 600, 600.2, 600, -30, -30, 0.2, 0):
            machines.off(ahead)
    assert told == [
        {"event": "clock.off", "log_level": "warning", "seconds": 600.0},
        {"event": "clock.off", "log_level": "warning", "seconds": -30.0},
        {"event": "clock.right", "log_level": "info"},
    ]


async def test_a_database_that_is_away_ends_no_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_clock, "EVERY", 0)
    looked = asyncio.Event()
    answers = [StoreUnavailable("away"), StoreUnavailable("away"), None]

    async def read(_: object) -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        looked.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(Machines().clock.follow(read))
    async with asyncio.timeout(5):
        await looked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_open_store_follows_its_server_s_clock(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = 600.0

    def machine() -> float:
        return time.time() + ahead

    def own() -> datetime:
        return datetime.fromtimestamp(machine(), UTC)

    monkeypatch.setattr(postgres_clock, "EVERY", 0.01)
    monkeypatch.setattr(postgres, "DatabaseClock", lambda: DatabaseClock(machine))
    before = asyncio.all_tasks()
    engine = await PostgresEngine.open(postgres_url)
    clock = engine.clock(own)
    assert _is_right(clock), "from the start"
    for moved in (-600.0, 0.0, 30.0):
        ahead = moved
        async with asyncio.timeout(20):
            while not _is_right(clock):
                await asyncio.sleep(0.01)
    await engine.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before, "nothing goes on looking"


def _is_right(clock: Callable[[], datetime]) -> bool:
    return abs(clock() - datetime.now(UTC)) < timedelta(seconds=1.5)
