"""What is kept of a webhook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.domain.events import AssetEvent
from service.domain.memory import AssetMemory
from service.domain.purges import PlannedPurge, ReceiptStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceipt:
    """A webhook about to be stored.

    `dedupe` is 16 bytes that every delivery of the same event shares, None for what must never count as the first of
    its kind (refused, unreadable). `headers` is the provider's allow-list.
    """

    id: str
    source: str
    status: ReceiptStatus
    reason: str | None
    scheme: str | None
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    body_bytes: int
    received_at: datetime
    signed_at: datetime | None = None
    dedupe: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A stored webhook. `body` is None in listings, and cut short for a refused request that was large."""

    id: str
    source: str
    status: ReceiptStatus
    reason: str | None
    scheme: str | None
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedEvent:
    """One asset event as the rules saw it (memory added), what came of it, and what to remember now."""

    event: AssetEvent
    purges: tuple[PlannedPurge, ...]
    memory: AssetMemory
    trace: Any
    failed: str | None = None


def verdict(new: NewReceipt, planned: Sequence[PlannedEvent]) -> tuple[ReceiptStatus, str | None]:
    """A receipt's final status and its reason, once the rules have seen every event."""
    if new.status is not ReceiptStatus.ACCEPTED:
        return new.status, new.reason
    failures = "; ".join(event.failed for event in planned if event.failed)
    if any(event.purges for event in planned):
        return ReceiptStatus.ACCEPTED, failures or None
    return ReceiptStatus.UNMATCHED, failures or "no rule gave a source image"
