"""Filestack: HMAC-SHA256 over time and body; files by their handle, whose URL stays when they are overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from service.domain.clock import to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, refuse_stale
from service.providers.delivery_urls import delivery_host, delivery_urls
from service.providers.signatures import from_hex, hmac_sha256, matches_any, unix_time
from service.settings.model import Source

_SIGNATURE = "fs-signature"
_TIMESTAMP = "fs-timestamp"

# https://www.filestack.com/docs/api/webhooks/. A conversion is a file of its own and leaves this one as it is.
_KINDS = {
    "fp.overwrite": AssetKind.REPLACED,
    "fp.delete": AssetKind.DELETED,
    "fp.upload": AssetKind.CREATED,
}


class Filestack(Provider):
    """https://www.filestack.com/docs/api/webhooks/"""

    info = Info(
        name="filestack",
        title="Filestack",
        doc_url="https://www.filestack.com/docs/api/webhooks/",
        signs="HMAC-SHA256 over time and body",
        # Filestack's libraries look at no age. Its last retry comes half a day after the one before, and nobody says
        # whether it is signed anew.
        tolerance=86_400,
        stored_headers=frozenset({_SIGNATURE, _TIMESTAMP, "content-type"}),
        options=("cdn_host",),
        guide=Guide(
            setup=(
                "*Developer portal → Webhooks*: URL `https://relay.example.com/hooks/NAME`, once for each event.",
                "Events: **overwrite**, **delete** and **upload**.",
                "The webhook's secret is one of `secrets`.",
            ),
            events="`fp.overwrite` becomes `replaced`, `fp.delete` `deleted`, `fp.upload` `created`. Conversions "
            "and workflows are ignored.",
            covered="The body and the time.",
            retries="Three more attempts, after 5 minutes, 30 minutes and 12 hours. Time-out, and whether a webhook "
            "is switched off, is unknown.",
            urls="In the payload: `text.url`, which stays the same when a file is overwritten; `cdn_host` where a "
            "site loads files from a host of its own. Transformations come before the handle, and a rule's template "
            "writes them.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._host = delivery_host(source)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = from_hex(request.required(_SIGNATURE), lengths=[32])
        timestamp = request.required(_TIMESTAMP)
        signed_at = unix_time(timestamp, "s")
        if not matches_any([given], self._signatures(timestamp, request.body)):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic("filestack-sha256", signed_at)

    def _signatures(self, timestamp: str, body: bytes) -> list[bytes]:
        message = f"{timestamp}.".encode() + body
        return [hmac_sha256(secret.encode(), message) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        timestamp = str(to_ms(now) // 1000)
        signature = self._signatures(timestamp, sample.body)[0].hex()
        return Sample(sample.body, {**sample.headers, _TIMESTAMP: timestamp, _SIGNATURE: signature})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event_id = json_body.scalar(payload, "id")
        found = _asset_event(payload, self._host)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {action: _sample(action, now) for action in _KINDS}


def _asset_event(payload: dict[str, Any], host: str | None) -> AssetEvent | Ignored:
    action, file = json_body.text(payload, "action"), json_body.obj(payload, "text")
    kind = _KINDS.get(action or "")
    if kind is None:
        return Ignored(f"a {action} event changes no image's delivery")
    urls = delivery_urls(file, "url", host=host)
    if not urls:
        raise Unreadable(f"the {action} event has no text.url")
    mime_type = json_body.text(file, "mimetype")
    if mime_type is not None and not mime_type.startswith("image/"):  # a deletion does not say
        return Ignored(f"the file is {mime_type}, no image")
    return AssetEvent(
        kind=kind,
        id=_handle(urls[0]),
        urls=urls,
        key=json_body.text(file, "key"),
        filename=json_body.text(file, "filename"),
        mime_type=mime_type,
        occurred_at=json_body.moment(payload, "timestamp"),
    )


def _handle(url: str) -> str:
    """The last part of `https://cdn.filestackcontent.com/HANDLE`."""
    return url.partition("#")[0].partition("?")[0].rstrip("/").rpartition("/")[2]


def _sample(action: str, now: datetime) -> Sample:
    file = {"url": "https://cdn.filestackcontent.com/Q5eBTKldRfCSuEjUYuAz"}
    if action != "fp.delete":
        file |= {"mimetype": "image/jpeg", "filename": "hero.jpg", "client": "Computer"}
    moment = to_ms(now)
    body = {"id": moment // 10, "action": action, "timestamp": moment // 1000, "text": file}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
