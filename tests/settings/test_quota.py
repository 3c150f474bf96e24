from __future__ import annotations

import pytest

from service.settings.quota import parse_quota


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1/s", (1, 1)),
        ("10/second", (10, 1)),
        ("600/minute", (600, 60)),
        ("600 / m", (600, 60)),
        ("5000/hour", (5000, 3600)),
        ("5000/h", (5000, 3600)),
    ],
)
def test_a_quota(text: str, expected: tuple[int, int]) -> None:
    assert parse_quota(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0/s", "-1/s", "10", "10/day", "1.5/s", "\u0661/s", "10/s ", "10/seconds", "9999999999/s"]
)
def test_no_quota(text: str) -> None:
    with pytest.raises(ValueError, match="such as 600/minute"):
        parse_quota(text)
