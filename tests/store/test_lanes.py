"""Lanes leased among processes: one owner at a time, shared out evenly, taken over when an owner is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from service.store.lanes import RENEW_AFTER, LeasedLanes
from service.store.postgres import PostgresEngine

PROJECTS = ("blog", "docs", "shop", "wiki")
LEASE = 0.6  # seconds; short, and long enough for a busy machine


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


class Process:
    """A relay process as far as lanes go; its own clock runs only when it is told to."""

    def __init__(self, engine: PostgresEngine, name: str, seconds: float = 60) -> None:
        self.now = 0.0
        self.had: set[str] = set()
        self.lanes = LeasedLanes(engine, name, seconds, lambda: self.now)

    async def own(self, *projects: str, calls: bool = False) -> set[str]:
        """What it has after the next renewal; as the dispatcher does, it gives up what it lost, unless a call is on."""
        self.now += RENEW_AFTER
        owned = set(await self.lanes.own(projects or PROJECTS))
        for project in set() if calls else self.had - owned:
            await self.lanes.give_up(project)
        self.had = owned | (self.had if calls else set())
        return owned


@pytest.fixture
async def engine(url: str) -> AsyncIterator[PostgresEngine]:
    opened = await PostgresEngine.open(url)
    yield opened
    await opened.close()


async def test_one_process_has_all(engine: PostgresEngine) -> None:
    one = Process(engine, "one")
    assert await one.lanes.own(PROJECTS) == dict.fromkeys(PROJECTS, 60)
    one.now = RENEW_AFTER - 0.5
    assert await one.lanes.own(PROJECTS) == dict.fromkeys(PROJECTS, 57.5), "not asked again so soon"


async def test_several_share_them_and_none_is_had_twice(engine: PostgresEngine) -> None:
    processes = [Process(engine, name) for name in ("one", "two", "three", "four", "five")]
    owned: list[set[str]] = []
    for _ in range(5):
        owned = [await process.own() for process in processes]
        assert sum(len(one) for one in owned) == len(set().union(*owned))
    assert sorted(len(one) for one in owned) == [0, 1, 1, 1, 1]
    assert set().union(*owned) == set(PROJECTS)


async def test_what_is_given_up_is_free_at_once(engine: PostgresEngine) -> None:
    one, two = Process(engine, "one"), Process(engine, "two")
    assert await one.own("shop") == {"shop"}
    assert await two.own("shop") == set()
    await one.lanes.give_up("shop")
    assert await two.own("shop") == {"shop"}
    assert await one.own("shop") == set()


async def test_a_process_that_is_gone_loses_its_lanes_when_the_lease_ends(engine: PostgresEngine) -> None:
    gone, other = Process(engine, "gone", LEASE), Process(engine, "other", LEASE)
    assert await gone.own("shop") == {"shop"}
    assert await other.own("shop") == set()
    async with asyncio.timeout(20):
        while await other.own("shop") != {"shop"}:
            await asyncio.sleep(0.05)
    assert await gone.own("shop") == set(), "what has ended is not renewed"


async def test_what_is_more_than_the_share_is_free_when_its_call_is_over(engine: PostgresEngine) -> None:
    """Another process's call for the same project at once is what leases are there to prevent."""
    one, two = Process(engine, "one"), Process(engine, "two")
    assert await one.own("blog", "shop", calls=True) == {"blog", "shop"}
    assert await two.own("blog", "shop") == set()
    assert await one.own("blog", "shop", calls=True) == {"blog"}
    assert await two.own("blog", "shop") == set(), "the call for shop is still under way"
    assert await one.own("blog", "shop") == {"blog"}
    assert await two.own("blog", "shop") == {"shop"}


async def test_a_project_that_is_no_longer_configured_is_let_go(engine: PostgresEngine) -> None:
    one = Process(engine, "one")
    assert await one.own("shop", "blog") == {"shop", "blog"}
    assert await one.own("blog") == {"blog"}
    assert await Process(engine, "two").own("shop") == {"shop"}


async def test_many_at_once_never_share_a_lane(url: str) -> None:
    async with AsyncExitStack() as stack:
        engines = [await PostgresEngine.open(url) for _ in range(4)]
        for engine in engines:
            stack.push_async_callback(engine.close)
        processes = [Process(engine, f"p{number}") for number, engine in enumerate(engines)]
        for _ in range(10):
            owned = await asyncio.gather(*(process.own() for process in processes))
            assert sum(len(one) for one in owned) == len(set().union(*owned))
