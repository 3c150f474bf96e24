"""What became of one call to Vercel, read once and told in our own words."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class OutcomeKind(StrEnum):
    """`done` 2xx · `invalid` 400 · `credential` 401, 403 · `blocked` 402, 404, 410, 3xx and every other answer that
    will not change by itself · `transient` 408, 425, 429, 5xx, time-outs and broken connections."""

    DONE = "done"
    INVALID = "invalid"
    CREDENTIAL = "credential"
    BLOCKED = "blocked"
    TRANSIENT = "transient"


class Outcome(Struct, frozen=True, kw_only=True):
    """One call's result.

    `reason` is for a person: Vercel's own message or the network's, at most 500 characters, without a token.
    `retry_at` is the earliest time Vercel asked for, by whichever header or body field named the latest.
    `quota_until` says that the rate budget of this credential is used up until then (429, or a remaining count of 0).
    `quota_left` is X-RateLimit-Remaining, where the answer has it.
    """

    kind: OutcomeKind
    status: int | None
    reason: str
    retry_at: datetime | None = None
    quota_until: datetime | None = None
    quota_left: int | None = None
    warning: str | None = None
    request_id: str | None = None
