"""Purges: what is to be dropped from which Vercel project's image cache."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Action(StrEnum):
    """`delete` is Vercel's dangerously-delete-by-src-images, `invalidate` its invalidate-by-src-images."""

    DELETE = "delete"
    INVALIDATE = "invalidate"


class PurgeState(StrEnum):
    """`pending` waits, `claimed` is in a call; `done`, `dead`, `superseded` and `dropped` are ends."""

    PENDING = "pending"
    CLAIMED = "claimed"
    DONE = "done"
    DEAD = "dead"
    SUPERSEDED = "superseded"
    DROPPED = "dropped"


class ReceiptStatus(StrEnum):
    """How a webhook ended; the first five are answered 200, the others never were."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    UNMATCHED = "unmatched"
    TEST = "test"
    UNREADABLE = "unreadable"
    REFUSED = "refused"


class PlannedPurge(Struct, frozen=True, kw_only=True):
    """One image to drop, with where it came from.

    `deadline` is Vercel's revalidationDeadlineSeconds and 0 for invalidate. `settle` is in seconds. `refusal` says why
    it may not be sent to Vercel at all; such a purge is stored dead and shown.
    """

    project: str
    action: Action
    src_image: str
    deadline: int
    settle: float
    rule: str
    template: str
    url: str | None = None
    refusal: str | None = None


class Purge(Struct, frozen=True, kw_only=True):
    """A stored purge."""

    id: str
    project: str
    action: Action
    src_image: str
    deadline: int
    state: PurgeState
    due_at: datetime
    created_at: datetime
    attempts: int = 0
    events: int = 1
    last_error: str | None = None
    failing_since: datetime | None = None
    finished_at: datetime | None = None
    superseded_by: str | None = None
