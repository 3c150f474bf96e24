from __future__ import annotations

from datetime import timedelta

import pytest
from support.virtual_time import START

from service.dispatch.limits import LONGEST_PAUSE, LONGEST_WAIT, Pace, backoff, spread


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("failures", "most"), [(1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 300), (50, 300), (100_000, 300)]
)
def test_back_off_doubles_up_to_five_minutes_with_full_jitter(failures: int, most: float) -> None:
    assert backoff(failures, lambda: 1.0) == seconds(most)
    assert backoff(failures, lambda: 0.25) == seconds(most / 4)
    assert backoff(failures, lambda: 0.0) == seconds(0)


def test_back_off_has_the_ceiling_it_is_given() -> None:
    assert backoff(9, lambda: 1.0, LONGEST_PAUSE) == seconds(60)
    assert seconds(300) == LONGEST_WAIT


def test_those_who_wait_for_the_same_moment_start_within_a_second_of_it() -> None:
    assert [spread(START, lambda share=share: share) - START for share in (0.0, 0.5, 1.0)] == [  # type: ignore[misc]  # mypy cannot type a lambda's default
        seconds(0),
        seconds(0.5),
        seconds(1),
    ]


def test_calls_go_one_at_a_time_after_a_failure_until_one_succeeds() -> None:
    pace = Pace()
    assert [pace.room(calls, 4) for calls in (0, 3, 4)] == [True, True, False]
    failed = pace.failed(START, START + seconds(1), None, lambda: 1.0)
    assert [failed.room(calls, 4) for calls in (0, 1, 3)] == [True, False, False]
    assert failed.not_before == START + seconds(2)


def test_pauses_grow_with_failures_in_a_row() -> None:
    pace, now = Pace(), START
    waits = []
    for _ in range(8):
        pace = pace.failed(now, now, None, lambda: 1.0)
        waits.append((pace.not_before - now).total_seconds())
        now = pace.not_before
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_calls_under_way_together_fail_as_one() -> None:
    first = Pace().failed(START, START + seconds(5), None, lambda: 1.0)
    second = first.failed(START + seconds(1), START + seconds(6), None, lambda: 1.0)
    assert second == first
    later = second.failed(START + seconds(6), START + seconds(7), None, lambda: 1.0)
    assert (later.failures, later.not_before) == (2, START + seconds(9))


@pytest.mark.parametrize("begun", [START - seconds(1), START + seconds(1)])
def test_what_vercel_asks_for_is_honoured_by_every_call_that_hears_of_it(begun: object) -> None:
    asked = START + seconds(3600)
    pace = Pace().failed(START, START, None, lambda: 0.5)
    assert pace.failed(begun, START + seconds(2), asked, lambda: 0.5).not_before == asked + seconds(0.5)  # type: ignore[arg-type]  # a table of moments


def test_a_budget_that_is_used_up_is_waited_for_and_tried_with_one_call() -> None:
    until = START + seconds(60)
    pace = Pace().limited(until, lambda: 0.5)
    assert (pace.not_before, pace.room(0, 4), pace.room(1, 4)) == (until + seconds(0.5), True, False)
    assert pace.limited(until, lambda: 0.9) is pace
    assert pace.limited(until + seconds(5), lambda: 0.0).not_before == until + seconds(5)
