"""Uploadcare: HMAC-SHA256 over the body alone; files that never change, by their UUID."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import HexBodySignature
from service.providers.delivery_urls import delivery_host, delivery_urls
from service.settings.model import Source

_SIGNATURE = "x-uc-signature"

# https://uploadcare.com/docs/webhooks/. A replacement is a new file with a UUID of its own. `stored` only says that a
# file is kept for good; what an infected one or one with new metadata means for a site is up to its rules.
_KINDS = {
    "file.uploaded": AssetKind.CREATED,
    "file.deleted": AssetKind.DELETED,
    "file.infected": AssetKind.UNKNOWN,
    "file.info_updated": AssetKind.UNKNOWN,
}
_TIMES = {AssetKind.CREATED: "datetime_uploaded", AssetKind.DELETED: "datetime_removed"}


_UUID = re.compile(
    r"(https://(?:ucarecdn\.com|[a-z0-9]+\.ucarecd\.net)/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(/?)"
)


def _slash(url: str) -> Iterator[str]:
    if found := _UUID.fullmatch(url):
        yield found[1] if found[2] else f"{found[1]}/"


_VARIANTS = {"slash": Variant("the UUID with and without the slash behind it", _slash)}


class Uploadcare(HexBodySignature):
    """https://uploadcare.com/docs/webhooks/#signed-webhooks"""

    signature_header = _SIGNATURE
    signature_prefix = "v1="
    info = Info(
        name="uploadcare",
        title="Uploadcare",
        doc_url="https://uploadcare.com/docs/webhooks/",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, "content-type"}),
        options=("cdn_host",),
        guide=Guide(
            setup=(
                "*Project → Webhooks → Add webhook*: target URL `https://relay.example.com/hooks/NAME`, once for "
                "each event.",
                "Events: **file.uploaded** and **file.deleted**.",
                "Choose a signing secret: it is one of `secrets`. Without one nothing is signed, which is refused.",
            ),
            events="`file.uploaded` becomes `created`, `file.deleted` `deleted`; `file.infected` and "
            "`file.info_updated` become `unknown`. A file never changes: a replacement is a new file with a UUID of "
            "its own.",
            covered="The body alone; no time. Events are told apart by the API request that caused them, where the "
            "body names it.",
            retries="2xx counts. Time-out, retries, and whether a webhook is switched off, is unknown.",
            urls="In the payload: `file`, with and without its name; `cdn_host` where the project has a host of its "
            "own. Variant: `slash` (the UUID with and without the slash behind it).",
        ),
    )
    variants = _VARIANTS

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._host = delivery_host(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload, self._host)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        return Notification(payload=payload, events=(found,), event_id=_event_id(payload, found))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {event: _sample(event, now) for event in ("file.deleted", "file.uploaded")}


def _asset_event(payload: dict[str, Any], host: str | None) -> AssetEvent | Ignored:
    event, data = json_body.text(payload, "hook", "event"), json_body.obj(payload, "data")
    kind, file_id = _KINDS.get(event or ""), json_body.text(data, "uuid")
    if kind is None:
        return Ignored(f"a {event} event changes no image's delivery")
    if file_id is None:
        return Ignored("the event names no file")
    mime_type = json_body.text(data, "mime_type")
    if data.get("is_image") is False and not (mime_type or "").startswith("image/"):  # an SVG is no raster image
        return Ignored("the file is no image")
    return AssetEvent(
        kind=kind,
        id=file_id,
        urls=_urls(payload, file_id, host),
        filename=json_body.text(data, "original_filename"),
        mime_type=mime_type,
        occurred_at=json_body.moment(data, _TIMES.get(kind, "")),
    )


def _urls(payload: dict[str, Any], file_id: str, host: str | None) -> tuple[str, ...]:
    """A file is delivered with and without its name: https://uploadcare.com/docs/delivery/cdn/"""
    data = json_body.obj(payload, "data")
    given = delivery_urls(payload, "file", host=host) + delivery_urls(data, "original_file_url", host=host)
    parts = [url.partition(f"/{file_id}/") for url in given]
    return tuple(dict.fromkeys((*given, *(head + folder for head, folder, _ in parts if folder))))


def _event_id(payload: dict[str, Any], event: AssetEvent) -> str | None:
    """A delivery has no id; the API request that caused it has, and causes one of a kind for a file."""
    request_id = json_body.text(payload, "initiator", "detail", "request_id")
    return request_id and f"{request_id} {event.kind} {event.id}"


def _sample(event: str, now: datetime) -> Sample:
    file_id = str(UUID(int=0xF08D7C8A_2971_42E0_AB01 << 48 | to_ms(now), version=4))
    url = f"https://ucarecdn.com/{file_id}/hero.jpg"
    deleted = event == "file.deleted"
    data = {
        "uuid": file_id,
        "is_image": True,
        "is_ready": True,
        "mime_type": "image/jpeg",
        "original_filename": "hero.jpg",
        "original_file_url": url,
        "datetime_uploaded": "2026-06-01T10:00:00.000000Z" if deleted else iso(now),
        "datetime_removed": iso(now) if deleted else None,
        "size": 117079,
    }
    body = {
        "initiator": {
            "type": "api",
            "detail": {"request_id": str(UUID(int=to_ms(now), version=4)), "addon_name": None},
        },
        "hook": {"id": 889783, "project_id": 123681, "event": event, "is_active": True, "version": "0.7"},
        "data": data,
        "file": url,
    }
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
