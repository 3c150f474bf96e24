"""Lookups: the URLs of an asset are asked for, because the event had an id alone."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from service.domain.events import AssetEvent
from service.domain.requests import HidesBody


class LookupState(StrEnum):
    """`pending` waits, `claimed` is being asked; `done` found URLs, `missing` found none, `dead` got no answer,
    `superseded` was joined by a later event of its asset."""

    PENDING = "pending"
    CLAIMED = "claimed"
    DONE = "done"
    MISSING = "missing"
    DEAD = "dead"
    SUPERSEDED = "superseded"


class PlannedLookup(Struct, frozen=True):
    """The event as its sender told it, and the address to ask at: without any secret."""

    event: AssetEvent
    url: str


class Lookup(Struct, frozen=True, kw_only=True):
    """A stored lookup. `changed_at` is when its latest event came: an older answer does not count."""

    id: str
    source: str
    environment: str | None
    asset_id: str
    url: str
    state: LookupState
    due_at: datetime
    created_at: datetime
    changed_at: datetime
    attempts: int = 0
    last_error: str | None = None
    failing_since: datetime | None = None
    finished_at: datetime | None = None
    superseded_by: str | None = None


class LookupEnd(Struct, frozen=True):
    """What the API said: `done` with the asset's URLs, or `missing` and why."""

    state: LookupState
    urls: tuple[str, ...] = ()
    reason: str | None = None


class LookupSettlement(Struct, frozen=True, kw_only=True):
    """What becomes of a claimed lookup without the API having said anything of the asset: `dead`, or `pending` again at
    `due_at`, perhaps at another address."""

    state: LookupState
    last_error: str | None = None
    due_at: datetime | None = None
    failing_since: datetime | None = None
    url: str | None = None


class Failing(Struct, frozen=True, kw_only=True):
    """How many lookups of a source wait for another try, and why the latest of them does."""

    source: str
    lookups: int
    reason: str


class Fetched(HidesBody, frozen=True, kw_only=True):
    """What one GET came to: a status, or None where no answer came. `reason` is for a person, without secrets;
    `too_large` says that the body was longer than is read."""

    status: int | None
    reason: str
    body: bytes = b""
    retry_at: datetime | None = None
    too_large: bool = False
