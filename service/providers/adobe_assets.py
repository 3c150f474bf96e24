"""The events of AEM Assets, as Adobe I/O Events delivers them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.providers import json_body
from service.providers.base import Sample
from service.providers.s3_records import Objects

RECIPIENTS = ("recipient_client_id", "recipientclientid")
"""Whom an event is for: Adobe's library reads the first, its guide names the other."""

SAMPLE_CLIENT = "c5a34355b7f5491f8277b8dd63f0bfa3"

_TYPE = "aem.assets.asset."
# https://developer.adobe.com/events/docs/guides/. A file that is uploaded again keeps its path.
_KINDS = {
    "created": AssetKind.CREATED,
    "updated": AssetKind.UPDATED,
    "processing_completed": AssetKind.UPDATED,
    "published": AssetKind.UPDATED,
    "unpublished": AssetKind.UNPUBLISHED,
    "deleted": AssetKind.DELETED,
}


def batch(document: Any) -> list[Any]:
    """The events of a delivery: one, or an array of them."""
    return document if isinstance(document, list) else [document]


def asks_for_validation(document: Any) -> bool:
    """Whether it is Adobe's question whether to send at all, with the URL that says yes."""
    return json_body.text(document, "validationUrl") is not None and "type" not in document


def read_event(event: Any, objects: Objects) -> AssetEvent | Ignored:
    """What one event says of a file; `bases` names the repository that it comes from. Raises Unreadable."""
    event_type = json_body.text(event, "type") or ""
    action = event_type.removeprefix(_TYPE)
    if action in (event_type, "metadata_updated"):
        return Ignored(f"{event_type} changes no file")
    metadata = json_body.obj(event, "data", "repositoryMetadata")
    mime_type = json_body.text(metadata, "dc:format")
    if mime_type is not None and not mime_type.startswith("image/"):
        return Ignored(f"about a file of type {mime_type}, not an image")
    kind, occurred_at = _KINDS.get(action, AssetKind.UNKNOWN), json_body.moment(event, "time")
    path = (json_body.text(metadata, "repo:path") or "").removeprefix("/")
    found = objects.event(kind, json_body.text(event, "source"), path, occurred_at=occurred_at)
    asset_id = json_body.text(event, "data", "assetId") or (found.id if found is not None else None)
    if asset_id is None:
        raise Unreadable("the event has neither data.assetId nor a path")
    plain = found or AssetEvent(kind=kind, id=asset_id, occurred_at=occurred_at)
    return replace(plain, id=asset_id, filename=json_body.text(metadata, "repo:name"), mime_type=mime_type)


def sample_event(action: str, now: datetime) -> Sample:
    """A sample: what AEM sends of an image."""
    event_id = str(UUID(int=to_ms(now) << 64 | 0x4000_8000_0000_0000_0001))
    event = {
        "specversion": "1.0",
        "type": _TYPE + action,
        "source": "author-p12345-e123456.adobeaemcloud.com",
        "id": event_id,
        "time": iso(now),
        "datacontenttype": "application/json",
        "eventid": event_id,
        **dict.fromkeys(RECIPIENTS, SAMPLE_CLIENT),
        "data": {
            "assetId": "urn:aaid:aem:abcd1234-ab12-ab12-ab12-abcdef123456",
            "tier": "publish",
            "repositoryMetadata": {"repo:name": "hero.jpg", "repo:path": "/content/dam/hero.jpg"},
        },
    }
    headers = {"content-type": "application/json", "x-adobe-event-id": event_id, "x-adobe-event-code": _TYPE + action}
    return Sample(msgspec.json.encode(event), headers)
