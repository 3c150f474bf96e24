"""What is remembered of an asset between its events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetMemory:
    """The newest state known of an asset: its current URLs, those it had before (newest first), and since when."""

    urls: tuple[str, ...] = ()
    earlier_urls: tuple[str, ...] = ()
    content_hash: str | None = None
    occurred_at: datetime | None = None
    gone: bool = False
