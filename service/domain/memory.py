"""What is remembered of an asset between its events."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from service.domain.clock import to_ms
from service.domain.events import AssetEvent


class AssetMemory(Struct, frozen=True, kw_only=True):
    """The newest state known of an asset: its current URLs, those it had before (newest first), and since when."""

    urls: tuple[str, ...] = ()
    earlier_urls: tuple[str, ...] = ()
    content_hash: str | None = None
    occurred_at: datetime | None = None
    gone: bool = False
    sequence: str | None = None

    def is_newer_than(self, event: AssetEvent) -> bool | None:
        """Whether the event tells of a state before this one; None where its sender does not say.

        The sender's numbers decide, then its times, in milliseconds, which is what the store keeps.
        """
        if event.sequence is not None and self.sequence is not None and event.sequence != self.sequence:
            return event.sequence < self.sequence
        if event.occurred_at is not None and self.occurred_at is not None:
            return to_ms(event.occurred_at) < to_ms(self.occurred_at)
        return None if event.sequence is None or self.sequence is None else False
