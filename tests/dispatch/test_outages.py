"""Vercel or the store away for a while, and the end of the process."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from support.dispatching import DONE, DOWN, FORBIDDEN, INVALID, TOKEN, Bench, Call, limited, names
from support.virtual_time import START, clock, simulate, until

from service.domain.purges import PurgeState
from service.settings.model import Dispatch, Project

Logs = list[MutableMapping[str, Any]]


def done(bench: Bench, count: int, project: str | None = None) -> bool:
    return len(bench.queue.in_state(PurgeState.DONE, project)) == count


def most_within(seconds: float, calls: list[Call]) -> int:
    """The most calls in any stretch of this length."""
    return max(sum(start.at <= call.at < start.at + seconds for call in calls) for start in calls)


@pytest.mark.parametrize("minutes", [1, 20])
def test_vercel_down_for_the_whole_burst_then_back(minutes: int) -> None:
    async def main() -> None:
        bench = Bench()
        back = minutes * 60
        bench.vercel.answer = lambda call: DOWN if call.at < back else DONE
        async with bench.running():
            for number in range(1000):
                bench.add("shop", f"https://img.example.com/{number}.jpg")
                await asyncio.sleep(0.01)
            await asyncio.sleep(back - 10)
            down = len(bench.vercel.calls)
            # Four were under way when it was noticed; then one call at a time, on average one in 30 s.
            assert down <= 15 + minutes * 3
            await until(lambda: done(bench, 1000), 420)
        up = bench.vercel.calls[down:]
        # 125 full calls; those that were tried while it was down may come in smaller parts.
        assert len(up) <= 125 + 8 * down
        assert bench.vercel.busiest <= 4
        assert bench.queue.in_state(PurgeState.DEAD) == []

    simulate(main)


def test_twenty_projects_do_not_start_at_once_when_a_budget_is_there_again() -> None:
    async def main() -> None:
        projects = [f"p{number}" for number in range(20)]
        bench = Bench(*projects)
        again = START + timedelta(seconds=60)
        bench.vercel.answer = lambda call: limited(again) if call.at < 60 else DONE
        for project in projects:
            bench.queue.add(project, *names(16))
        async with bench.running():
            await until(lambda: done(bench, 320))
        before = [call for call in bench.vercel.calls if call.at < 60]
        after = bench.vercel.calls[len(before) :]
        assert len(before) <= 16
        assert most_within(0.1, after) <= 10
        assert bench.vercel.busiest <= 16

    simulate(main)


def test_no_more_calls_at_a_time_than_configured() -> None:
    async def main() -> None:
        projects = [f"p{number}" for number in range(5)]
        for all_together, each, most in ((3, 4, 3), (16, 2, 10), (1, 4, 1)):
            bench = Bench(*projects, concurrency=each, settings=Dispatch(concurrency=all_together))
            for project in projects:
                bench.queue.add(project, *names(80))
            async with bench.running():
                await until(lambda bench=bench: done(bench, 400))  # type: ignore[misc]  # mypy cannot type a lambda's default
            assert bench.vercel.busiest == most

    simulate(main)


@pytest.mark.parametrize(
    "broken", [("next_due_at", "projects"), ("claim",), ("settle",), ("claim", "settle", "projects", "next_due_at")]
)
def test_a_store_that_is_away_for_a_while_loses_nothing(broken: tuple[str, ...], logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        async with bench.running():
            bench.add("shop", *names(4))
            await until(lambda: bench.vercel.busy == 1)
            bench.queue.fail(*broken)
            bench.add("shop", *names(20, "later"))
            await asyncio.sleep(600)
            assert len(bench.vercel.calls) <= 4
            assert bench.dispatcher.alive()
            bench.queue.heal()
            await until(lambda: done(bench, 24), 12)
        # Nothing was called for twice: what was done was only settled late.
        assert len(bench.vercel.images) == 24

    simulate(main)
    warnings = [entry for entry in logs if entry["event"] == "store.unavailable"]
    assert 1 <= len(warnings) <= 600


def test_an_answer_reaches_the_board_before_its_purges_are_back_in_the_queue() -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda _: FORBIDDEN
        bench.board.fail("hold", "block")
        bench.queue.add("shop", *names(4))
        async with bench.running():
            await asyncio.sleep(60)
            assert bench.queue.in_state(PurgeState.PENDING) == []
            bench.board.heal()
            await until(lambda: len(bench.queue.in_state(PurgeState.PENDING)) == 4)
            await asyncio.sleep(60)
        assert len(bench.vercel.calls) == 1

    simulate(main)


def test_tokens_that_cannot_be_read_are_waited_for() -> None:
    async def main() -> None:
        bench = Bench(configured={"shop": Project(project="p1"), "blog": Project(project="p2", token=TOKEN)})
        bench.tokens.fail("list")
        bench.queue.add("shop", "/a.jpg")
        bench.queue.add("blog", "/a.jpg")
        async with bench.running():
            await until(lambda: done(bench, 1, "blog"))
            await asyncio.sleep(60)
            assert bench.board.held == {}
            assert bench.queue.in_state(PurgeState.PENDING) == ["/a.jpg"]
            bench.tokens.heal()
            await until(lambda: "shop" in bench.board.held, 12)

    simulate(main)


def test_a_lane_that_crashes_starts_again(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench("shop", "blog")
        bench.queue.fail("claim", error=RuntimeError("a defect"))
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(10.5)
            bench.queue.heal()
            await until(lambda: done(bench, 1), 2)

    simulate(main)
    crashes = [entry for entry in logs if entry["event"] == "lane.crashed"]
    assert {entry["project"] for entry in crashes} == {"shop"}
    assert 1 <= len(crashes) <= 25


@pytest.mark.parametrize("broken", ["settle", "release"])
def test_a_defect_after_a_call_puts_its_purges_back(broken: str, logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda call: INVALID if call.at < 1 and len(call.images) > 2 else DONE
        bench.queue.fail("settle", error=RuntimeError("a defect"))
        if broken == "release":
            bench.queue.fail("release")
        bench.queue.add("shop", *names(4))
        async with bench.running():
            await asyncio.sleep(60)
            # Not as fast as it can, over and over.
            assert len(bench.vercel.calls) < 20
            bench.queue.heal()
            await until(lambda: done(bench, 4), 120)
        assert all(one.attempts <= 2 for one in bench.queue.purges.values())

    simulate(main)
    assert "purge.failed" in [entry["event"] for entry in logs]


def test_a_watch_that_crashes_goes_on(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        bench.queue.fail("projects", error=RuntimeError("a defect"))
        async with bench.running():
            await asyncio.sleep(5)
            bench.queue.heal()
            bench.queue.add("shop", "/a.jpg")
            await until(lambda: done(bench, 1), 2)

    simulate(main)
    assert [entry["event"] for entry in logs].count("dispatch.watch_crashed") == 5


# -- stopping


def test_stop_finishes_the_calls_under_way_and_begins_no_other() -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.seconds = 5
        bench.queue.add("shop", *names(80))
        async with bench.running() as task:
            await asyncio.sleep(1)
            await bench.dispatcher.stop()
            assert task.done()
            assert clock() == START + timedelta(seconds=5)
        assert len(bench.vercel.calls) == 4
        assert len(bench.queue.in_state(PurgeState.DONE)) == 32
        assert len(bench.queue.in_state(PurgeState.PENDING)) == 48

    simulate(main)


def test_stop_cuts_a_call_that_hangs_short_and_leaves_it_to_the_next_start(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.seconds = 3600
        bench.queue.add("shop", *names(3))
        async with bench.running() as task:
            await asyncio.sleep(1)
            await bench.dispatcher.stop()
            assert task.done()
            assert clock() == START + timedelta(seconds=9)
        assert len(bench.queue.in_state(PurgeState.CLAIMED)) == 3
        bench.vercel.seconds = 0.05
        again = Bench()
        again.queue.purges = bench.queue.purges
        async with again.running():
            await until(lambda: done(again, 3))

    simulate(main)
    sent = [entry for entry in logs if entry["event"] == "purge.sent"]
    assert [entry["outcome"] for entry in sent] == ["cancelled", "done"]
    assert [entry["recovered"] for entry in logs if entry["event"] == "dispatch.lane"] == [0, 3]


def test_stop_while_halving_gives_back_what_was_not_called_for() -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda _: INVALID
        bench.vercel.seconds = 5
        bench.queue.add("shop", *names(8))
        async with bench.running():
            await asyncio.sleep(1)
            await bench.dispatcher.stop()
        assert len(bench.vercel.calls) == 1
        assert len(bench.queue.in_state(PurgeState.PENDING)) == 8

    simulate(main)


def test_what_is_claimed_while_the_relay_stops_is_released() -> None:
    async def main() -> None:
        bench = Bench()
        claim = bench.queue.claim

        async def slow_claim(*arguments: Any) -> Any:
            claimed = await claim(*arguments)
            await asyncio.sleep(2)
            return claimed

        bench.queue.claim = slow_claim  # type: ignore[method-assign,assignment]  # a store that takes its time
        bench.queue.add("shop", *names(3))
        async with bench.running():
            await asyncio.sleep(1)
            await bench.dispatcher.stop()
        assert bench.vercel.calls == []
        assert [(one.state, one.attempts) for one in bench.queue.purges.values()] == [(PurgeState.PENDING, 0)] * 3

    simulate(main)


@pytest.mark.parametrize(("method", "left"), [("settle", 3), ("release", 8)])
def test_a_store_that_stays_away_does_not_keep_the_process(method: str, left: int, logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.seconds = 3
        bench.vercel.answer = lambda _: INVALID if method == "release" else DONE
        bench.queue.add("shop", *names(left))
        async with bench.running():
            await asyncio.sleep(1)
            bench.queue.fail(method)
            await bench.dispatcher.stop()
            assert clock() == START + timedelta(seconds=3)
        assert len(bench.queue.in_state(PurgeState.CLAIMED)) == left

    simulate(main)
    assert [entry["images"] for entry in logs if entry["event"] == "purges.left_claimed"] == [left]


def test_settling_that_is_given_up_while_waiting_for_the_store() -> None:
    async def main() -> None:
        bench = Bench()
        bench.queue.fail("settle")
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(100)
            begun = clock()
            await bench.dispatcher.stop()
            assert clock() - begun < timedelta(seconds=0.1)

    simulate(main)


def test_stop_before_the_start_and_twice() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.dispatcher.stop()
        await bench.dispatcher.run()
        await bench.dispatcher.stop()
        assert not bench.dispatcher.alive()

    simulate(main)


def test_a_second_stop_hurries_the_first() -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.seconds = 3600
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(1)
            first = asyncio.create_task(bench.dispatcher.stop())
            await asyncio.sleep(1)
            await bench.dispatcher.stop(0)
            await first
            assert clock() == START + timedelta(seconds=2)

    simulate(main)


def test_a_cancelled_dispatcher_takes_its_calls_with_it() -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.seconds = 3600
        bench.queue.add("shop", "/a.jpg")
        task = asyncio.create_task(bench.dispatcher.run())
        await until(lambda: bench.vercel.busy == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert bench.vercel.busy == 0
        assert not bench.dispatcher.alive()

    simulate(main)


def test_no_call_lasts_longer_than_whoever_takes_the_project_over_waits_for() -> None:
    async def main() -> None:
        bench = Bench(settings=Dispatch(timeout=10))
        bench.vercel.seconds = 1000
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await until(lambda: len(bench.vercel.calls) == 2, 60)
            first, second = bench.vercel.calls
            assert bench.vercel.busiest == 1
            assert 10 < second.at - first.at < 30
            attempt, _ = bench.queue.attempts[0]
            assert (attempt.outcome, attempt.duration_ms) == ("transient", 12_000)

    simulate(main)
