"""ImageKit: Standard Webhooks with a key of its own kind, or the older `x-ik-signature`; files by id."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.domain.secret import Secret
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample
from service.providers.delivery_urls import delivery_urls
from service.providers.standard_webhooks import StandardWebhooks
from service.providers.timed_signature import TimedSignature
from service.settings.model import Source

_OLDER = TimedSignature("x-ik-signature", unit="ms")

# https://imagekit.io/docs/webhooks. A file uploaded over another of its path may come as any of the first three. An
# old version that goes leaves the delivered one alone; should a site show versions, its rules tell.
_KINDS = {
    "file.created": AssetKind.UPDATED,
    "file.updated": AssetKind.UPDATED,
    "file-version.created": AssetKind.UPDATED,
    "file-version.deleted": AssetKind.UNKNOWN,
    "file.deleted": AssetKind.DELETED,
}


class ImageKit(Provider):
    """https://imagekit.io/docs/webhooks"""

    info = Info(
        name="imagekit",
        title="ImageKit",
        doc_url="https://imagekit.io/docs/webhooks",
        signs="HMAC-SHA256 over id, time and body (or, with the older header, time and body)",
        tolerance=300,
        stored_headers=frozenset(
            {_OLDER.header, "webhook-id", "webhook-timestamp", "webhook-signature", "content-type"}
        ),
        guide=Guide(
            setup=(
                "*Developer options → Webhooks → Add new*: endpoint `https://relay.example.com/hooks/NAME`.",
                "Events: **file created, updated, deleted**, and the file versions.",
                "Copy the webhook's secret with its `whsec_`: it is one of `secrets`.",
            ),
            events="`file.created`, `file.updated` and `file-version.created` become `updated`, as any of them may "
            "be a new file under an old path; `file.deleted` becomes `deleted`, `file-version.deleted` `unknown`. "
            "Folders, videos and uploads under way are ignored.",
            covered="Body, id and time, or with the older header body and time.",
            retries="2xx counts. Time-out, retries, and whether a webhook is switched off, is unknown.",
            urls="In the payload: `data.url`, which stays the same when a file is replaced. A deletion has the id "
            "alone, and the URL is the one remembered. `?tr=…` is part of a source URL: rules say which ones a site "
            "uses.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        # The SDKs hand base64(secret) to the Standard Webhooks library: the key is the whole text, `whsec_` and all.
        keys = [Secret(base64.b64encode(secret.encode()).decode()) for secret in source.secrets]
        tolerance = None if source.unverified else self.tolerance
        self._standard = StandardWebhooks(
            name,
            Source(
                provider=StandardWebhooks.info.name, secrets=keys, tolerance=tolerance, unverified=source.unverified
            ),
        )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        if request.header(_OLDER.header) and not request.header("webhook-signature"):
            return Authentic("imagekit-v1", _OLDER.verify(request, self.source.secrets, now, self.tolerance))
        return Authentic("imagekit-standard", self._standard.verify_signature(request, now, key).signed_at)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        return self._standard.signed(sample, path, now, None)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event_id = json_body.text(payload, "id")
        found = _asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        identity = {"fileId": "6673f88237b244ef54d60180"}
        version = {"versionInfo": {"id": sha256(iso(now).encode()).hexdigest()[:24], "name": "Version 2"}}
        return {
            "file.updated": _sample("file.updated", identity | version | _SAMPLE_FILE | {"updatedAt": iso(now)}, now),
            "file.deleted": _sample("file.deleted", identity, now),
        }


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    event_type, data = json_body.text(payload, "type"), json_body.obj(payload, "data")
    kind, file_id = _KINDS.get(event_type or ""), json_body.text(data, "fileId")
    if kind is None:
        return Ignored(f"a {event_type} event changes no image's delivery")
    if file_id is None:
        return Ignored("the event names no file")
    if not _is_image(data):
        return Ignored("the file is no image")
    return AssetEvent(
        kind=kind,
        id=file_id,
        urls=delivery_urls(data, "url"),
        key=json_body.text(data, "filePath"),
        filename=json_body.text(data, "name"),
        mime_type=json_body.text(data, "mime"),
        occurred_at=json_body.moment(payload, "created_at"),
        content_hash=json_body.text(data, "versionInfo", "id"),
    )


def _is_image(data: dict[str, Any]) -> bool:
    """A deletion gives the id alone, and may be one of an image."""
    file_type, mime = json_body.text(data, "fileType"), json_body.text(data, "mime")
    return file_type in (None, "image") or (mime or "").startswith("image/")


_SAMPLE_FILE = {
    "type": "file",
    "name": "hero.jpg",
    "url": "https://ik.imagekit.io/demo/products/hero.jpg",
    "thumbnail": "https://ik.imagekit.io/demo/tr:n-ik_ml_thumbnail/products/hero.jpg",
    "fileType": "image",
    "filePath": "/products/hero.jpg",
    "mime": "image/jpeg",
    "size": 117079,
    "width": 1600,
    "height": 900,
}


def _sample(event_type: str, data: dict[str, Any], now: datetime) -> Sample:
    event_id = "evt_" + sha256(f"{event_type} {iso(now)}".encode()).hexdigest()[:32]
    body = {"type": event_type, "id": event_id, "created_at": iso(now), "data": data}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json", "webhook-id": event_id})
