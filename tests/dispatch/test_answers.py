"""What becomes of purges, answer by answer: the dispatcher on a store in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from support.dispatching import DONE, DOWN, INVALID, Answer, Bench, Call, limited, names
from support.virtual_time import START, simulate, until

from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Action, PurgeState
from service.settings.model import Dispatch

Logs = list[MutableMapping[str, Any]]


def all_in(bench: Bench, state: PurgeState, count: int) -> bool:
    return len(bench.queue.in_state(state)) == count


def refusing(culprits: Collection[str]) -> Answer:
    return lambda call: INVALID if set(call.images) & set(culprits) else DONE


def test_twenty_images_are_three_calls() -> None:
    async def main() -> None:
        bench = Bench()
        bench.queue.add("shop", *names(20))
        async with bench.running():
            await until(lambda: all_in(bench, PurgeState.DONE, 20))
        assert bench.vercel.sizes == [8, 8, 4]
        assert bench.vercel.images == names(20)

    simulate(main)


def test_a_call_has_one_project_one_action_and_one_deadline() -> None:
    async def main() -> None:
        bench = Bench("shop", "blog", concurrency=1)
        for number in range(4):
            bench.queue.add("shop", f"/{number}/a", deadline=60)
            bench.queue.add("shop", f"/{number}/b", deadline=0)
            bench.queue.add("shop", f"/{number}/c", action=Action.INVALIDATE, deadline=0)
            bench.queue.add("blog", f"/{number}/a", deadline=60)
        async with bench.running():
            await until(lambda: all_in(bench, PurgeState.DONE, 16))
        batches = [call.batch for call in bench.vercel.calls]
        assert sorted((one.project, str(one.action), one.deadline, len(one.purges)) for one in batches) == [
            ("blog", "delete", 60, 4),
            ("shop", "delete", 0, 4),
            ("shop", "delete", 60, 4),
            ("shop", "invalidate", 0, 4),
        ]

    simulate(main)


def test_a_purge_waits_until_it_has_settled() -> None:
    async def main() -> None:
        bench = Bench()
        async with bench.running():
            bench.add("shop", "/a.jpg", settle=2)
            await until(lambda: all_in(bench, PurgeState.DONE, 1))
        assert [call.at for call in bench.vercel.calls] == [2.0]

    simulate(main)


def test_what_was_stored_before_the_start_settles_too() -> None:
    async def main() -> None:
        bench = Bench()
        bench.queue.add("shop", "/a.jpg", settle=2.5)
        async with bench.running():
            await until(lambda: all_in(bench, PurgeState.DONE, 1))
        assert [call.at for call in bench.vercel.calls] == [2.5]

    simulate(main)


def test_purges_that_are_dropped_just_before_they_are_claimed_are_no_call() -> None:
    async def main() -> None:
        bench = Bench()
        claim = bench.queue.claim

        async def drop_and_claim(*arguments: Any) -> Any:
            bench.queue.purges.clear()
            return await claim(*arguments)

        bench.queue.claim = drop_and_claim  # type: ignore[method-assign,assignment]  # an operator at work
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(5)
        assert (bench.vercel.calls, bench.queue.claims) == ([], [("shop", 0)])

    simulate(main)


def test_a_webhook_is_a_call_at_once() -> None:
    async def main() -> None:
        bench = Bench()
        async with bench.running():
            await asyncio.sleep(100.5)
            bench.add("shop", "/a.jpg")
            await until(lambda: all_in(bench, PurgeState.DONE, 1))
        assert [call.at for call in bench.vercel.calls] == [100.5]

    simulate(main)


def test_what_another_process_stored_is_found_within_a_second() -> None:
    async def main() -> None:
        bench = Bench()
        async with bench.running():
            await asyncio.sleep(100.5)
            bench.queue.add("shop", "/a.jpg")
            await until(lambda: all_in(bench, PurgeState.DONE, 1))
        assert 100.5 < bench.vercel.calls[0].at <= 101.5

    simulate(main)


@pytest.mark.parametrize(
    ("culprits", "calls"), [((0,), 7), ((7,), 7), ((3,), 7), ((0, 1), 7), ((0, 7), 11), ((2, 5), 11)]
)
def test_culprits_among_eight_images_are_found_by_halving(culprits: tuple[int, ...], calls: int) -> None:
    async def main() -> None:
        bench = Bench()
        images = names(8)
        bad = [images[number] for number in culprits]
        bench.vercel.answer = refusing(bad)
        bench.queue.add("shop", *images)
        async with bench.running():
            await until(
                lambda: all_in(bench, PurgeState.DEAD, len(bad)) and all_in(bench, PurgeState.DONE, 8 - len(bad))
            )
        assert bench.queue.in_state(PurgeState.DEAD) == bad
        assert {one.last_error for one in bench.queue.purges.values() if one.state is PurgeState.DEAD} == {
            INVALID.reason
        }
        assert len(bench.vercel.calls) == calls
        # One at a time: nothing is called for twice, and every call is on record.
        assert bench.vercel.busiest == 1
        outcomes = [attempt.outcome for attempt, _ in bench.queue.attempts]
        assert (len(outcomes), outcomes.count("split")) == (calls, (calls - 1) // 2)

    simulate(main)


@pytest.mark.parametrize("trouble", [DOWN, Outcome(kind=OutcomeKind.CREDENTIAL, status=403, reason="403 Forbidden")])
def test_trouble_while_halving_gives_back_what_was_not_called_for(trouble: Outcome) -> None:
    async def main() -> None:
        bench = Bench()
        images = names(8)

        def answer(call: Call) -> Outcome:
            return {1: INVALID, 2: trouble}.get(len(bench.vercel.calls), DONE)

        bench.vercel.answer = answer
        bench.queue.add("shop", *images)
        async with bench.running():
            await until(lambda: len(bench.queue.attempts) == 2)
            await asyncio.sleep(0)
            # The half that got no call is as it was, and the other one is put back.
            assert sorted(bench.queue.in_state(PurgeState.PENDING)) == images
            assert [bench.queue.purges[key].attempts for key in sorted(bench.queue.purges)] == [1] * 4 + [0] * 4
            await until(lambda: all_in(bench, PurgeState.DONE, 8))

    simulate(main)


@pytest.mark.parametrize("seconds", [0.5, 5, 3600])
@pytest.mark.parametrize("quota", [True, False])
def test_no_call_comes_before_the_time_vercel_asked_for(seconds: float, quota: bool) -> None:
    async def main() -> None:
        bench = Bench()
        asked = START + timedelta(seconds=seconds)
        busy = Outcome(kind=OutcomeKind.TRANSIENT, status=503, reason="503 Service Unavailable", retry_at=asked)
        bench.vercel.answer = lambda call: (limited(asked) if quota else busy) if call.at < 0.2 else DONE
        bench.queue.add("shop", *names(80))
        async with bench.running():
            await asyncio.sleep(0.3)
            bench.add("shop", *names(8, "later"))
            await until(lambda: all_in(bench, PurgeState.DONE, 88), seconds + 20)
        early, late = bench.vercel.calls[:4], bench.vercel.calls[4:]
        assert all(call.at == 0 for call in early)
        assert min(call.at for call in late) >= seconds
        # One goes first, to see whether the time is really over.
        assert late[1].at > late[0].at
        assert len(late) <= 12

    simulate(main)


def test_a_budget_that_this_very_call_used_up_is_waited_for() -> None:
    async def main() -> None:
        bench = Bench()
        full = START + timedelta(seconds=30)
        last = Outcome(kind=OutcomeKind.DONE, status=200, reason="200 OK", quota_until=full)
        bench.vercel.answer = lambda call: last if call.at == 0 else DONE
        bench.queue.add("shop", *names(4))
        async with bench.running():
            await until(lambda: all_in(bench, PurgeState.DONE, 4))
            bench.add("shop", "/next.jpg")
            await until(lambda: all_in(bench, PurgeState.DONE, 5))
        assert [call.at >= 30 for call in bench.vercel.calls] == [False, True]

    simulate(main)


def test_still_failing_after_max_age_is_dead_and_says_so() -> None:
    async def main() -> None:
        bench = Bench(settings=Dispatch(max_age=3600))
        bench.vercel.answer = lambda _: DOWN
        bench.queue.add("shop", *names(3))
        async with bench.running():
            await until(lambda: all_in(bench, PurgeState.DEAD, 3), 3600 + 301)
            assert bench.vercel.calls[-1].at >= 3600
        (reason,) = {one.last_error for one in bench.queue.purges.values()}
        assert reason == f"still failing after 1 h: {DOWN.reason}"

    simulate(main)


def test_an_image_that_makes_vercel_fail_does_not_keep_the_others() -> None:
    async def main() -> None:
        bench = Bench()
        poison = names(8)[5]
        bench.vercel.answer = lambda call: DOWN if poison in call.images else DONE
        bench.queue.add("shop", *names(8))
        async with bench.running():
            await until(lambda: all_in(bench, PurgeState.DONE, 7), 120)
        assert bench.queue.in_state(PurgeState.DONE) == [image for image in names(8) if image != poison]

    simulate(main)


def test_an_event_during_a_call_is_another_call_after_it() -> None:
    async def main() -> None:
        bench = Bench()
        async with bench.running():
            bench.add("shop", "/a.jpg")
            await until(lambda: bench.vercel.busy == 1)
            bench.add("shop", "/a.jpg")
            bench.add("shop", "/a.jpg")
            await until(lambda: all_in(bench, PurgeState.DONE, 2))
        assert [call.images for call in bench.vercel.calls] == [("/a.jpg",), ("/a.jpg",)]
        assert bench.vercel.busiest == 1

    simulate(main)


def test_a_failed_purge_joins_the_newer_one_of_its_image() -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda call: DOWN if call.at == 0 else DONE
        async with bench.running():
            (first,) = bench.add("shop", "/a.jpg", deadline=0)
            await until(lambda: bench.vercel.busy == 1)
            (second,) = bench.add("shop", "/a.jpg", deadline=60)
            await until(lambda: all_in(bench, PurgeState.DONE, 1))
        ended, joined = bench.queue.purges[first], bench.queue.purges[second]
        assert (ended.state, ended.superseded_by) == (PurgeState.SUPERSEDED, second)
        assert (joined.state, joined.deadline, joined.events) == (PurgeState.DONE, 0, 2)

    simulate(main)


def test_an_unforeseen_error_in_a_call_is_logged_and_tried_again(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda call: RuntimeError("vcp_fakefakefake0123456789") if call.at == 0 else DONE
        bench.queue.add("shop", *names(3))
        async with bench.running():
            await until(lambda: all_in(bench, PurgeState.DONE, 3))
        assert [attempt.reason for attempt, _ in bench.queue.attempts] == [
            "the call failed inside the relay: RuntimeError",
            "200 OK",
        ]

    simulate(main)
    assert [entry["log_level"] for entry in logs if entry["event"] == "purge.call_failed"] == ["error"]


def test_one_line_a_call(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench(settings=Dispatch(max_age=0))
        odd = Outcome(kind=OutcomeKind.DONE, status=202, reason="202", warning="202, not 200", request_id="fra1::1")
        answers = {"/done": DONE, "/odd": odd, "/bad": INVALID, "/down": DOWN}
        bench.vercel.answer = lambda call: answers[call.images[0]]
        async with bench.running():
            for image in answers:
                bench.add("shop", image)
                await until(lambda: bench.vercel.busy == 1)
                await until(lambda: bench.vercel.busy == 0)
                await asyncio.sleep(0.1)

    simulate(main)
    lines = [entry for entry in logs if entry["event"] == "purge.sent"]
    ids = [line.pop("call_id") for line in lines]
    assert len(set(ids)) == 4
    common = {"event": "purge.sent", "project": "shop", "action": "delete", "images": 1, "duration_ms": 50}
    assert lines == [
        common | {"log_level": "info", "status": 200, "outcome": "done", "reason": "200 OK"},
        common
        | {
            "log_level": "warning",
            "status": 202,
            "outcome": "done",
            "reason": "202",
            "warning": "202, not 200",
            "request_id": "fra1::1",
        },
        common | {"log_level": "warning", "status": 400, "outcome": "invalid", "reason": INVALID.reason, "dead": 1},
        common | {"log_level": "warning", "status": 503, "outcome": "transient", "reason": DOWN.reason, "dead": 1},
    ]
