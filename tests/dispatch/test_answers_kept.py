"""Answers of a moment ago: which of them count."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.memory_lookups import failed, found
from support.virtual_time import START

from service.dispatch.answers import LARGEST, MOST, Answers

URL = "https://api.example/list"


@pytest.mark.parametrize(
    ("asked_at", "changed_at", "now", "counts"),
    [
        (1.0, 0.0, 2.0, True),
        (1.0, 0.0, 6.0, True),
        (1.0, 0.0, 6.1, False),  # too old
        (1.0, 1.0, 2.0, False),  # may have come before the change
        (1.0, 1.5, 2.0, False),
    ],
)
def test_an_answer_counts_for_what_changed_before_it_was_asked_for(
    asked_at: float, changed_at: float, now: float, counts: bool
) -> None:
    answers = Answers()
    times = [START + timedelta(seconds=seconds) for seconds in (asked_at, changed_at, now)]
    answers.put("cms", URL, times[0], found())
    assert (answers.get("cms", URL, times[1], times[2]) is not None) is counts
    assert answers.get("other", URL, times[1], times[2]) is None


def test_failures_and_large_ones_are_not_kept_and_the_oldest_goes() -> None:
    answers = Answers()
    later = START + timedelta(seconds=1)
    answers.put("cms", "failed", later, failed(503))
    assert answers.get("cms", "failed", START, later) is None
    answers.put("cms", "large", later, found("x" * (LARGEST + 1)))
    assert answers.get("cms", "large", START, later) is None
    for number in range(MOST + 1):
        answers.put("cms", f"{number}", later, found())
    assert answers.get("cms", "0", START, later) is None
    assert answers.get("cms", "1", START, later) is not None
