"""When to come back, by everything an answer can say about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from service.vercel.wire import read_reply

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
EPOCH_NOW = int(NOW.timestamp())
YEAR = 366 * 86_400


def error(**fields: object) -> bytes:
    return json.dumps({"error": fields}).encode()


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1),
        (" 90 ", 90),
        ("1.5", 1.5),
        ("Tue, 24 Nov 2026 12:01:00 GMT", 60),
        ("Tue, 24 Nov 2026 12:01:00 -0000", 60),
        ("Tue, 24 Nov 2026 13:01:00 +0100", 60),
        (str(7 * 86_400), 7 * 86_400),
        (str(YEAR), YEAR),
        (str(YEAR + 1), None),
        ("0", None),
        ("-5", None),
        ("Tue, 24 Nov 2026 11:59:00 GMT", None),
        ("Sat, 24 Nov 9999 12:01:00 GMT", None),
        ("Tue, 99 Nov 2026 12:01:00 GMT", None),
        ("Tue, 24 Nov 2026 12:01:00 +9999", None),
        ("1e3", None),
        ("nan", None),
        ("\u0663", None),
        ("9" * 5000, None),
        ("soon", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 503, 403])
def test_retry_after(status: int, value: str, seconds: float | None) -> None:
    asked = read_reply(status, {"retry-after": value}, b"", NOW).retry_at
    assert asked == (None if seconds is None else later(seconds))


@pytest.mark.parametrize(
    ("status", "headers", "retry", "quota"),
    [
        (429, {"x-ratelimit-reset": EPOCH_NOW + 30}, 30, 30),
        (429, {"x-ratelimit-reset": EPOCH_NOW + 30, "x-ratelimit-remaining": 5}, 30, 30),
        (429, {"retry-after": 40, "x-ratelimit-reset": EPOCH_NOW + 30}, 40, 40),
        (429, {"retry-after": 20, "x-ratelimit-reset": EPOCH_NOW + 30}, 30, 30),
        (429, {"retry-after": 20, "x-ratelimit-reset": "absurd"}, 20, 20),
        (429, {"x-ratelimit-reset": EPOCH_NOW - 1}, None, None),
        (429, {"x-ratelimit-reset": (EPOCH_NOW + 30) * 1000}, None, None),
        (429, {}, None, None),
        (503, {"x-ratelimit-reset": EPOCH_NOW + 30, "x-ratelimit-remaining": 5}, None, None),
        (503, {"x-ratelimit-reset": EPOCH_NOW + 30, "x-ratelimit-remaining": 0}, 30, 30),
        (503, {"retry-after": 90, "x-ratelimit-reset": EPOCH_NOW + 30, "x-ratelimit-remaining": 0}, 90, 30),
        (503, {"retry-after": 90}, 90, None),
        (200, {"x-ratelimit-reset": EPOCH_NOW + 30, "x-ratelimit-remaining": 0}, None, 30),
        (200, {"x-ratelimit-reset": EPOCH_NOW + 30, "x-ratelimit-remaining": 1}, None, None),
        (200, {"x-ratelimit-remaining": 0}, None, None),
    ],
)
def test_rate_limit_headers(status: int, headers: dict[str, object], retry: float | None, quota: float | None) -> None:
    outcome = read_reply(status, {name: str(value) for name, value in headers.items()}, b"", NOW)
    assert outcome.retry_at == (None if retry is None else later(retry))
    assert outcome.quota_until == (None if quota is None else later(quota))


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ({"reset": EPOCH_NOW + 30}, 30),
        ({"reset": EPOCH_NOW + 30, "resetMs": (EPOCH_NOW + 30) * 1000 + 500}, 30.5),
        ({"reset": f"{EPOCH_NOW + 30}"}, 30),
        ({"reset": True}, None),
        ({"reset": float("nan")}, None),
        ({"reset": float("inf")}, None),
        ({"reset": 10**400}, None),
        ({"reset": -5}, None),
        ({"reset": None, "resetMs": []}, None),
        ([EPOCH_NOW + 30], None),
        ("soon", None),
    ],
)
def test_limit_in_the_body(limit: object, seconds: float | None) -> None:
    outcome = read_reply(429, {}, error(code="rate_limited", message="Too fast", limit=limit), NOW)
    expected = None if seconds is None else later(seconds)
    assert (outcome.retry_at, outcome.quota_until) == (expected, expected)
