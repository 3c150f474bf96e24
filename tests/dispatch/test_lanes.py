"""Lanes that are leased: begun when they are this process's, ended when they are not, and no call beyond the lease."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, MutableMapping
from math import inf
from typing import Any

import pytest
from support.dispatching import Bench
from support.virtual_time import simulate, until

from service.dispatch.supervisor import Role
from service.domain.errors import StoreUnavailable
from service.domain.purges import PurgeState
from service.settings.model import Dispatch

Logs = list[MutableMapping[str, Any]]

TIMEOUT = 20.0  # of a call; a lease has to last two seconds longer


class Leases:
    """What is leased to this process, for so many seconds from each time it asks."""

    def __init__(self, **owned: float) -> None:
        self.owned = owned
        self.given_up: list[str] = []
        self.error: Exception | None = None

    async def own(self, projects: Collection[str]) -> Mapping[str, float]:
        if self.error is not None:
            raise self.error
        return {name: seconds for name, seconds in self.owned.items() if name in projects}

    async def give_up(self, project: str) -> None:
        if self.error is not None:
            raise self.error
        self.given_up.append(project)


def bench(leases: Leases, *projects: str) -> Bench:
    return Bench(*(projects or ("shop",)), lanes=leases, settings=Dispatch(timeout=TIMEOUT))


def test_only_what_is_leased_is_sent() -> None:
    async def main() -> None:
        leases = Leases(shop=30)
        one = bench(leases, "shop", "blog")
        async with one.running():
            one.add("shop", "/a.jpg")
            one.add("blog", "/b.jpg")
            await asyncio.sleep(30)
            assert one.vercel.images == ["/a.jpg"]
            leases.owned["blog"] = 30
            await until(lambda: one.vercel.images == ["/a.jpg", "/b.jpg"], 3)

    simulate(main)


def test_a_lane_that_is_lost_ends_and_may_come_back(logs: Logs) -> None:
    async def main() -> None:
        leases = Leases(shop=30)
        one = bench(leases)
        async with one.running():
            one.add("shop", "/a.jpg")
            await until(lambda: one.vercel.images == ["/a.jpg"], 3)
            del leases.owned["shop"]
            await until(lambda: leases.given_up == ["shop"], 3)
            await asyncio.sleep(2)
            assert one.dispatcher.status().role is Role.STANDBY
            one.add("shop", "/b.jpg")
            await asyncio.sleep(30)
            assert one.vercel.images == ["/a.jpg"]
            # The process that had it meanwhile died in a call.
            one.queue.add("shop", "/c.jpg", state=PurgeState.CLAIMED)
            leases.owned["shop"] = 30
            await until(lambda: sorted(one.vercel.images) == ["/a.jpg", "/b.jpg", "/c.jpg"], 3)

    simulate(main)
    assert [entry["recovered"] for entry in logs if entry["event"] == "dispatch.lane"] == [0, 1]


@pytest.mark.parametrize(("seconds", "calls"), [(TIMEOUT + 1.5, 0), (TIMEOUT + 3.5, 1)])
def test_no_call_is_begun_that_might_outlast_the_lease(seconds: float, calls: int) -> None:
    async def main() -> None:
        leases = Leases(shop=seconds)
        one = bench(leases)
        async with one.running():
            one.add("shop", "/a.jpg")
            await asyncio.sleep(10)
            assert len(one.vercel.calls) == calls
            leases.owned["shop"] = 60
            await until(lambda: len(one.vercel.calls) == 1, 3)

    simulate(main)


def test_a_lease_that_cannot_be_renewed_ends_by_itself() -> None:
    async def main() -> None:
        leases = Leases(shop=30)
        one = bench(leases)
        async with one.running():
            await asyncio.sleep(2)
            leases.error = StoreUnavailable("cut off from the database")
            one.add("shop", "/a.jpg")
            await until(lambda: one.vercel.images == ["/a.jpg"], 3)
            await asyncio.sleep(10)  # less than 22 of the 30 seconds are left
            one.add("shop", "/b.jpg")
            await asyncio.sleep(60)
            assert one.vercel.images == ["/a.jpg"]
            leases.error = None
            await until(lambda: one.vercel.images == ["/a.jpg", "/b.jpg"], 3)

    simulate(main)


def test_stopping_gives_the_lanes_up() -> None:
    async def main() -> None:
        leases = Leases(shop=30, blog=inf)
        one = bench(leases, "shop", "blog")
        async with one.running() as task:
            await asyncio.sleep(2)
            await one.dispatcher.stop()
            assert task.done()
        assert sorted(leases.given_up) == ["blog", "shop"]

    simulate(main)


def test_a_store_that_is_away_does_not_keep_a_process_from_stopping(logs: Logs) -> None:
    async def main() -> None:
        leases = Leases(shop=30)
        one = bench(leases)
        async with one.running() as task:
            await asyncio.sleep(2)
            leases.error = StoreUnavailable("cut off")
            await one.dispatcher.stop()
            assert task.done()
            assert not task.cancelled()

    simulate(main)
    assert "giving a lane up" in [entry.get("doing") for entry in logs]


def test_a_lane_that_crashes_is_begun_anew(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        one = bench(Leases(shop=inf))
        async with one.running():
            await asyncio.sleep(2)
            (running,) = one.dispatcher._lanes.values()

            def broken(*_: object) -> None:
                raise ZeroDivisionError("a bug of ours")

            monkeypatch.setattr(running.lane, "_seconds", broken)
            one.add("shop", "/a.jpg")
            await until(lambda: one.vercel.images == ["/a.jpg"], 5)
            one.add("shop", "/b.jpg")
            await until(lambda: one.vercel.images == ["/a.jpg", "/b.jpg"], 5)

    simulate(main)
    assert "dispatch.crashed" in [entry["event"] for entry in logs]
