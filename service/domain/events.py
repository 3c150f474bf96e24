"""What happened to an image, in every sender's words and in ours."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct


class AssetKind(StrEnum):
    """What an event says about the asset. `updated` is the vague one: the asset memory may turn it into `replaced`."""

    CREATED = "created"
    UPDATED = "updated"
    REPLACED = "replaced"
    RENAMED = "renamed"
    DELETED = "deleted"
    UNPUBLISHED = "unpublished"
    RESTORED = "restored"
    UNKNOWN = "unknown"

    gone: bool
    """Whether the origin no longer serves the asset."""

    def __init__(self, value: str) -> None:
        self.gone = value in ("deleted", "unpublished")


class AssetEvent(Struct, frozen=True, kw_only=True):
    """One asset's event.

    `urls` are the ones the event says are current, `earlier_urls` those it says the asset had (a rename's old name).
    The asset memory adds to `earlier_urls` before the rules see the event. `content_hash` is any token that changes
    with the bytes (etag, version, digest). `sequence` is for senders that number an asset's states: a text made by the
    provider that sorts after that of every earlier state of this asset.
    """

    kind: AssetKind
    id: str
    urls: tuple[str, ...] = ()
    earlier_urls: tuple[str, ...] = ()
    bucket: str | None = None
    key: str | None = None
    filename: str | None = None
    mime_type: str | None = None
    environment: str | None = None
    locale: str | None = None
    occurred_at: datetime | None = None
    content_hash: str | None = None
    sequence: str | None = None

    @property
    def all_urls(self) -> tuple[str, ...]:
        """Present URLs, then earlier ones, each once."""
        if not self.earlier_urls and len(self.urls) < 2:
            return self.urls
        return tuple(dict.fromkeys((*self.urls, *self.earlier_urls)))


class Ignored(Struct, frozen=True):
    """The event is genuine and is not about an image."""

    reason: str


class TestPing(Struct, frozen=True):
    """The sender's test button or its announcement that notifications are configured."""

    reason: str


class Confirmation(Struct, frozen=True):
    """The sender waits for a GET of `url`, which the provider built itself from allow-listed parts, before it sends."""

    url: str
    reason: str


class Challenge(Struct, frozen=True):
    """The sender asks in a verified request to be answered with this JSON document before it sends."""

    answer: bytes
    reason: str


class Notification(Struct, frozen=True, kw_only=True):
    """A verified body, read: the asset events in it, or why there are none.

    `payload` is the parsed body the rules may look into; `event_id` is the sender's own id of the event (None: a
    digest of source, signed time and body takes its place).
    """

    payload: Any
    events: tuple[AssetEvent, ...] = ()
    instead: Ignored | TestPing | Confirmation | Challenge | None = None
    event_id: str | None = None
