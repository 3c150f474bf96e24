"""What Vercel says of the calls that are left, whatever it sends there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from service.vercel.wire import read_reply

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("41", 41),
        (" 0 ", 0),
        ("12.9", 12),
        ("-1", None),
        ("many", None),
        ("", None),
        ("9" * 400, None),
        ("nan", None),
        ("1e5", None),
    ],
)
@pytest.mark.parametrize("status", [200, 403, 429, 500])
def test_calls_left(said: str, left: int | None, status: int) -> None:
    assert read_reply(status, {"x-ratelimit-remaining": said}, b"", NOW).quota_left == left


def test_an_answer_that_says_nothing_of_it() -> None:
    assert read_reply(200, {}, b"", NOW).quota_left is None
