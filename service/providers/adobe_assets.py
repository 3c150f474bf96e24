"""The events of AEM Assets, as Adobe I/O Events delivers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

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
_XDM_KINDS = {
    "xdmCreated": AssetKind.CREATED,
    "xdmUpdated": AssetKind.UPDATED,
    "xdmDeleted": AssetKind.DELETED,
}


class _File(Struct, frozen=True, kw_only=True):
    """What an event of either kind says of a file."""

    kind: AssetKind
    repository: str | None
    path: str | None
    id: str | None
    name: str | None
    mime_type: str | None
    changed_at: datetime | None
    etag: str | None = None


def batch(document: Any) -> list[Any]:
    """The events of a delivery: one, or an array of them."""
    return document if isinstance(document, list) else [document]


def event_id(event: Any) -> str | None:
    """The event's own id, the same over all retries; older events may say `N/A`."""
    given = json_body.first_text(event, "eventid", "event_id", "id", "@id") or json_body.text(event, "event", "@id")
    return None if given == "N/A" else given


def read_event(event: Any, objects: Objects) -> AssetEvent | Ignored:
    """What one event says of a file; `bases` names the repository that it comes from. Raises Unreadable."""
    within = json_body.obj(event, "event") or event
    file = _xdm_file(within) if json_body.text(within, "@type") else _cloud_event_file(event)
    if isinstance(file, Ignored):
        return file
    if file.mime_type is not None and not file.mime_type.startswith("image/"):
        return Ignored(f"about a file of type {file.mime_type}, not an image")
    path = (file.path or "").removeprefix("/")
    found = objects.event(file.kind, file.repository, path, occurred_at=file.changed_at, content_hash=file.etag)
    asset_id = file.id or (found.id if found is not None else None)
    if asset_id is None:
        raise Unreadable("the event has neither the asset's id nor its path")
    plain = found or AssetEvent(kind=file.kind, id=asset_id, occurred_at=file.changed_at, content_hash=file.etag)
    return replace(plain, id=asset_id, filename=file.name, mime_type=file.mime_type)


def _cloud_event_file(event: Any) -> _File | Ignored:
    """AEM as a Cloud Service sends CloudEvents."""
    event_type = json_body.text(event, "type") or ""
    action = event_type.removeprefix(_TYPE)
    if action in (event_type, "metadata_updated"):
        return Ignored(f"{event_type} changes no file")
    metadata = json_body.obj(event, "data", "repositoryMetadata")
    return _File(
        kind=_KINDS.get(action, AssetKind.UNKNOWN),
        repository=json_body.text(event, "source"),
        path=json_body.text(metadata, "repo:path"),
        id=json_body.text(event, "data", "assetId"),
        name=json_body.text(metadata, "repo:name"),
        mime_type=json_body.text(metadata, "dc:format"),
        changed_at=json_body.moment(event, "time"),
    )


def _xdm_file(event: Any) -> _File | Ignored:
    """AEM 6.5 sends activity streams."""
    object_type = json_body.text(event, "xdmEventEnvelope:objectType")
    if object_type != "xdmAsset":
        return Ignored(f"about an object of type {object_type}, not a file")
    asset = json_body.obj(event, "activitystreams:object")
    return _File(
        kind=_XDM_KINDS.get(json_body.text(event, "@type") or "", AssetKind.UNKNOWN),
        repository=json_body.text(event, "activitystreams:generator", "xdmContentRepository:root"),
        path=json_body.text(asset, "xdmAsset:path"),
        id=json_body.text(asset, "xdmAsset:asset_id"),
        name=json_body.text(asset, "xdmAsset:asset_name"),
        mime_type=json_body.text(asset, "xdmAsset:format"),
        changed_at=json_body.moment(event, "activitystreams:published"),
        etag=json_body.text(asset, "xdmAsset:etag"),
    )


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
