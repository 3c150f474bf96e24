"""Leading, standing by, and purges that nobody is configured for."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.dispatching import DOWN, Bench, names
from support.virtual_time import START, clock, simulate, until

from service.dispatch.supervisor import Role
from service.domain.clock import EPOCH
from service.domain.purges import PurgeState
from service.settings.model import Dispatch

Logs = list[MutableMapping[str, Any]]


def done(bench: Bench, count: int) -> bool:
    return len(bench.queue.in_state(PurgeState.DONE)) == count


def test_only_one_process_leads_and_another_takes_over_within_a_second() -> None:
    async def main() -> None:
        leads = [False]
        bench = Bench(lead=lambda: leads[0])
        bench.queue.add("shop", *names(3), state=PurgeState.CLAIMED)
        assert not bench.dispatcher.alive()
        async with bench.running():
            await asyncio.sleep(60)
            assert bench.dispatcher.status().role is Role.STANDBY
            assert bench.dispatcher.alive()
            bench.dispatcher.wake({"shop": EPOCH})
            await asyncio.sleep(0.5)
            leads[0] = True
            # What the other one had claimed is taken up.
            await until(lambda: done(bench, 3), 2)
            assert bench.dispatcher.status().role is Role.LEADING
        assert bench.dispatcher.status().role is Role.STOPPED
        assert not bench.dispatcher.alive()

    simulate(main)


def test_standing_by_ends_when_told_to_stop() -> None:
    async def main() -> None:
        bench = Bench(lead=lambda: False)
        async with bench.running() as task:
            await asyncio.sleep(5)
            await bench.dispatcher.stop()
            assert task.done()

    simulate(main)


def test_a_lock_that_cannot_be_asked_for_is_asked_for_again(logs: Logs) -> None:
    async def main() -> None:
        answers = iter([OSError(13, "Permission denied"), OSError(13, "Permission denied"), None])

        def lead() -> bool:
            answer = next(answers)
            if answer is not None:
                raise answer
            return True

        bench = Bench(lead=lead)
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await until(lambda: done(bench, 1), 5)

    simulate(main)
    assert [entry["event"] for entry in logs].count("dispatch.watch_crashed") == 2


def test_a_store_that_is_away_at_the_start_is_waited_for() -> None:
    async def main() -> None:
        bench = Bench()
        bench.queue.fail("recover")
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(60)
            assert bench.dispatcher.alive()
            assert bench.vercel.calls == []
            bench.queue.heal()
            await until(lambda: done(bench, 1), 11)

    simulate(main)


def test_a_store_that_is_away_at_the_start_does_not_keep_the_process() -> None:
    async def main() -> None:
        bench = Bench()
        bench.queue.fail("recover")
        async with bench.running() as task:
            await asyncio.sleep(60)
            await bench.dispatcher.stop()
            assert task.done()
            assert not task.cancelled()

    simulate(main)


def test_waking_costs_nothing_where_there_is_nothing_to_do() -> None:
    async def main() -> None:
        bench = Bench("shop", "blog")
        async with bench.running():
            await asyncio.sleep(5)
            bench.queue.fail("claim")
            bench.dispatcher.wake({"shop": EPOCH, "unknown": EPOCH})
            bench.dispatcher.wake({})
            await asyncio.sleep(5)
            assert bench.queue.claims == []
            # Two lanes without anything to do read the board once, at the start.
            assert bench.board.reads == 1

    simulate(main)


def test_a_lane_is_not_woken_for_what_is_due_after_it_looks_anyway(logs: Logs) -> None:
    def looks() -> int:
        return [entry["event"] for entry in logs].count("store.unavailable")

    async def main() -> None:
        bench = Bench()
        async with bench.running():
            bench.add("shop", "/a.jpg", settle=50)
            await asyncio.sleep(5.2)
            # From here on a lane that looks says so, and nothing else makes it look before the next full second.
            bench.queue.fail("next_due_at")
            bench.dispatcher.wake({"shop": START + timedelta(seconds=60)})
            await asyncio.sleep(0.1)
            assert looks() == 0
            bench.dispatcher.wake({"shop": START + timedelta(seconds=49)})
            await asyncio.sleep(0.1)
            assert looks() == 1
            bench.queue.heal()
            await until(lambda: done(bench, 1), 50)
        assert bench.vercel.calls[0].at == 50

    simulate(main)


def test_status_shows_what_a_lane_is_doing() -> None:
    async def main() -> None:
        bench = Bench("shop", "blog")
        bench.vercel.answer = lambda _: DOWN
        async with bench.running():
            bench.add("shop", "/a.jpg")
            await until(lambda: bench.vercel.busy == 1)
            assert bench.dispatcher.status().lanes["shop"].calls == 1
            await until(lambda: bench.vercel.busy == 0)
            await asyncio.sleep(0)
            lanes = bench.dispatcher.status().lanes
            assert (lanes["shop"].failures, lanes["blog"].failures) == (1, 0)
            assert lanes["shop"].not_before > START
            assert lanes["shop"].held is None

    simulate(main)


def test_purges_of_a_project_that_is_not_configured_wait_for_it_and_then_end_dead(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench(settings=Dispatch(max_age=3600))
        bench.queue.add("gone", "/old.jpg", created_at=START - timedelta(seconds=3500))
        bench.queue.add("gone", "/new.jpg")
        async with bench.running():
            await asyncio.sleep(60)
            assert len(bench.queue.in_state(PurgeState.PENDING)) == 2
            await asyncio.sleep(200)
            assert bench.queue.in_state(PurgeState.DEAD) == ["/old.jpg"]
            await asyncio.sleep(3600)
            assert bench.queue.in_state(PurgeState.DEAD) == ["/old.jpg", "/new.jpg"]
        (reason,) = {one.last_error for one in bench.queue.purges.values()}
        assert reason == "the project gone is not in relay.yaml: put it back and run `image-relay purges retry`"

    simulate(main)
    assert [entry["project"] for entry in logs if entry["event"] == "project.unknown"] == ["gone"]
    assert [entry["images"] for entry in logs if entry["event"] == "project.buried"] == [1, 1]


def test_what_is_due_later_than_the_next_look_costs_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of webhooks that settle: the first one's time is known, and the others come no sooner."""

    async def main() -> None:
        bench = Bench()
        looks = 0
        next_due_at = bench.queue.next_due_at

        async def counted(project: str) -> datetime | None:
            nonlocal looks
            looks += 1
            return await next_due_at(project)

        monkeypatch.setattr(bench.queue, "next_due_at", counted)
        async with bench.running():
            await asyncio.sleep(0.1)
            first = clock() + timedelta(seconds=0.5)
            bench.queue.add("shop", "/first.png", due_at=first)
            bench.dispatcher.wake({"shop": first})
            await asyncio.sleep(0.1)
            before = looks
            for number in range(100):
                later = clock() + timedelta(seconds=0.5)
                bench.queue.add("shop", f"/{number}.png", due_at=later)
                bench.dispatcher.wake({"shop": later})
                await asyncio.sleep(0)
            assert looks == before
            # One that is due sooner is not overlooked.
            bench.queue.add("shop", "/now.png", due_at=clock())
            bench.dispatcher.wake({"shop": clock()})
            await until(lambda: bench.vercel.images == ["/now.png"], 0.2)
            await until(lambda: len(bench.vercel.images) == 102, 5)

    simulate(main)
