"""What a rule can see of an event."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from msgspec import Struct

from service.domain.events import AssetEvent

NAMES = ("asset", "url", "payload", "headers", "source")


class Asset(Struct, frozen=True):
    """The name `asset`: these attributes and no others. `kind` is plain text."""

    id: str
    kind: str
    urls: tuple[str, ...]
    earlier_urls: tuple[str, ...]
    bucket: str | None
    key: str | None
    filename: str | None
    mime_type: str | None
    environment: str | None
    locale: str | None
    occurred_at: datetime | None

    @classmethod
    def of(cls, event: AssetEvent) -> Self:
        return cls(
            event.id,
            event.kind.value,
            event.urls,
            event.earlier_urls,
            event.bucket,
            event.key,
            event.filename,
            event.mime_type,
            event.environment,
            event.locale,
            event.occurred_at,
        )


ASSET_ATTRIBUTES = Asset.__struct_fields__
