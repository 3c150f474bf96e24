"""What a call to Vercel leaves behind: one attempt, and what becomes of each purge in it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from service.domain.purges import Purge, PurgeState


class Attempt(Struct, frozen=True, kw_only=True):
    """One call. `outcome` is an OutcomeKind, or `split` for a refused batch that is tried again in halves."""

    call_id: str
    at: datetime
    images: int
    status: int | None
    outcome: str
    reason: str
    duration_ms: int


class Settlement(Struct, frozen=True, kw_only=True):
    """What becomes of one claimed purge: `done`, `dead`, or `pending` again, due at `due_at`.

    `failing_since` is the first failed call in a row, None after anything but a failure that is retried.
    """

    purge: Purge
    state: PurgeState
    last_error: str | None = None
    due_at: datetime | None = None
    failing_since: datetime | None = None
