"""The bucket of tokens, second by second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.ingest.quota import Bucket
from service.settings.model import Source

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("count", "seconds", "moments", "waits"),
    [
        (2, 60, [0, 0, 0], [0, 0, 30]),
        (2, 60, [0, 0, 15, 30, 30], [0, 0, 15, 0, 30]),
        (2, 60, [0, 3600, 3600, 3600], [0, 0, 0, 30]),  # what is not used does not add up
        (600, 60, [0] * 601, [0] * 600 + [0.1]),
        (1, 3600, [0, 1, 3600], [0, 3599, 0]),
        (1, 10, [0, -100, -99, 0], [0, 10, 9, 0]),  # a clock that was set back
        (1, 10, [0, -5, 0], [0, 10, 5]),
    ],
)
def test_the_seconds_to_wait(count: int, seconds: int, moments: list[float], waits: list[float]) -> None:
    bucket = Bucket(count, seconds)
    assert [bucket.take(at(moment)) for moment in moments] == pytest.approx(waits)


@given(st.integers(1, 50), st.integers(1, 100), st.lists(st.floats(0, 30), max_size=200))
def test_never_more_than_the_quota_over_time(count: int, seconds: int, pauses: list[float]) -> None:
    bucket, passed, moment = Bucket(count, seconds), 0, 0.0
    for pause in pauses:
        moment += pause
        wait = bucket.take(at(moment))
        passed += wait == 0
        assert passed <= count + moment * count / seconds + 1e-3
        assert 0 <= wait <= seconds / count + 1e-3


def test_a_source_has_a_quota_or_none() -> None:
    assert Bucket.of(Source(provider="sanity")) is None
    bucket = Bucket.of(Source(provider="sanity", quota="1/hour"))
    assert bucket is not None
    assert [bucket.take(NOW), bucket.take(NOW)] == [0, 3600]
