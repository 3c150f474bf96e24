"""What is kept of a webhook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from service.domain.events import AssetEvent
from service.domain.lookups import PlannedLookup
from service.domain.memory import AssetMemory
from service.domain.purges import PlannedPurge, ReceiptStatus
from service.domain.requests import HidesBody


class NewReceipt(HidesBody, frozen=True, kw_only=True):
    """A webhook about to be stored.

    `dedupe` is what every delivery of the same event shares, 16 to 32 bytes, None for what must never count as the
    first of its kind (refused, unreadable). `headers` is the provider's allow-list. `traceparent` names the webhook's
    span where it is recorded.
    """

    id: str
    source: str
    status: ReceiptStatus
    reason: str | None
    scheme: str | None
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    body_bytes: int
    received_at: datetime
    signed_at: datetime | None = None
    dedupe: bytes | None = None
    traceparent: str | None = None


class Receipt(HidesBody, frozen=True, kw_only=True):
    """A stored webhook. `body` is None in listings, and cut short for a refused request that was large."""

    id: str
    source: str
    status: ReceiptStatus
    reason: str | None
    scheme: str | None
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None
    body_bytes: int
    received_at: datetime
    signed_at: datetime | None
    seen_at: datetime
    deliveries: int
    trace: Any

    @property
    def whole(self) -> bool:
        """Whether all of the body was kept."""
        return self.body is not None and len(self.body) == self.body_bytes


class PlannedEvent(Struct, frozen=True, kw_only=True):
    """One asset event as the rules saw it (memory added), what came of it, and what to remember now."""

    event: AssetEvent
    purges: tuple[PlannedPurge, ...]
    memory: AssetMemory
    trace: Any
    failed: str | None = None
    lookup: PlannedLookup | None = None


WAITING = "waiting for a lookup"
"""A part of the reason of a receipt while the URLs of one of its assets are being looked up."""

NO_IMAGE = "no rule gave a source image"


def verdict(new: NewReceipt, planned: Sequence[PlannedEvent]) -> tuple[ReceiptStatus, str | None]:
    """A receipt's status and its reason, once the rules have seen every event; final but for what is looked up."""
    if new.status is not ReceiptStatus.ACCEPTED:
        return new.status, new.reason
    reasons: list[str] = []
    waiting = purged = False
    for event in planned:
        waiting = waiting or event.lookup is not None
        purged = purged or bool(event.purges)
        if event.failed:
            reasons.append(event.failed)
    told = "; ".join([WAITING, *reasons] if waiting else reasons)
    if waiting or purged:
        return ReceiptStatus.ACCEPTED, told or None
    return ReceiptStatus.UNMATCHED, told or NO_IMAGE


def first_due(planned: Iterable[PlannedEvent], now: datetime) -> dict[str, datetime]:
    """When the first of each project's purges can be due."""
    settle: dict[str, float] = {}
    due: dict[str, datetime] = {}
    for event in planned:
        for purge in event.purges:
            known = settle.get(purge.project)
            if purge.refusal is None and (known is None or purge.settle < known):
                settle[purge.project] = purge.settle
    for project, seconds in settle.items():
        due[project] = now + timedelta(seconds=seconds)
    return due
