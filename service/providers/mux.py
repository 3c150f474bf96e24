"""Mux: HMAC-SHA256 over time and body; the thumbnails of a video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec

from service.domain.clock import iso
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample
from service.providers.timed_signature import TimedSignature

_SIGNATURE = TimedSignature("mux-signature")

# https://www.mux.com/docs/core/listen-for-webhooks. A video is never replaced: another upload is another asset.
_KINDS = {
    "video.asset.ready": AssetKind.CREATED,
    "video.asset.updated": AssetKind.UPDATED,
    "video.asset.deleted": AssetKind.DELETED,
}
_FORMATS = ("jpg", "png", "webp")


class Mux(Provider):
    """https://www.mux.com/docs/core/verify-webhook-signatures"""

    info = Info(
        name="mux",
        title="Mux",
        doc_url="https://www.mux.com/docs/core/verify-webhook-signatures",
        signs="HMAC-SHA256 over time and body",
        tolerance=300,  # as in Mux's own library, which takes times of the future though
        stored_headers=frozenset({_SIGNATURE.header, "content-type"}),
        guide=Guide(
            setup=(
                "*Settings → Webhooks → Create new webhook*: the environment, and URL "
                "`https://relay.example.com/hooks/NAME`.",
                "Mux sends every event to every webhook; there is nothing to choose.",
                "The webhook's signing secret is one of `secrets`.",
            ),
            events="`video.asset.ready` becomes `created`, `video.asset.updated` `updated`, `video.asset.deleted` "
            "`deleted`. All others are ignored. A video is never replaced: another upload is another asset.",
            covered="The body and the time. The event's id in the body is the same for retries.",
            retries="Anything but 2xx is tried again for 24 hours, with growing pauses; duplicates come even so. "
            "Time-out, and whether a webhook is switched off, is unknown.",
            urls="Computed: `thumbnail.jpg`, `.png` and `.webp` of each public playback id. Sizes and times in the "
            "query are up to a rule's template, signed playback cannot be guessed.",
        ),
    )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        return Authentic("mux-v1", _SIGNATURE.verify(request, self.source.secrets, now, self.tolerance))

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        value = _SIGNATURE.value(sample.body, self.source.secrets[0], now)
        return Sample(sample.body, {**sample.headers, _SIGNATURE.header: value})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event_id = json_body.text(payload, "id")
        found = _asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {event_type: _sample(event_type, now) for event_type in _KINDS}


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    event_type = json_body.text(payload, "type")
    kind = _KINDS.get(event_type or "")
    if kind is None:
        return Ignored(f"a {event_type} event changes no thumbnail")
    asset_id = json_body.text(payload, "data", "id") or json_body.text(payload, "object", "id")
    if asset_id is None:
        return Ignored("the event names no asset")
    return AssetEvent(
        kind=kind,
        id=asset_id,
        urls=tuple(dict.fromkeys(_thumbnails(payload))),
        environment=json_body.text(payload, "environment", "name"),
        occurred_at=json_body.moment(payload, "created_at"),
    )


def _thumbnails(payload: dict[str, Any]) -> Iterator[str]:
    """https://www.mux.com/docs/guides/get-images-from-a-video. Whoever signs playback puts a token of their own into
    the URL, which nobody can guess here; a rule can take the asset's id."""
    for playback in json_body.array(payload, "data", "playback_ids"):
        playback_id = json_body.text(playback, "id")
        if playback_id is not None and json_body.text(playback, "policy") in (None, "public"):
            yield from (f"https://image.mux.com/{quote(playback_id, safe='')}/thumbnail.{one}" for one in _FORMATS)


def _sample(event_type: str, now: datetime) -> Sample:
    asset_id = "zLfxb4zHVdrDqTVaKBHbU01Z00RZ1I7OGL"
    data = {
        "id": asset_id,
        "status": "ready",
        "playback_ids": [{"policy": "public", "id": "NIBVtiURB01ZOZQb7022s8DTfpfMa5fyzy"}],
        "aspect_ratio": "16:9",
        "duration": 12.5,
    }
    body = {
        "type": event_type,
        "id": sha256(f"{event_type} {iso(now)}".encode()).hexdigest()[:32],
        "created_at": iso(now),
        "object": {"type": "asset", "id": asset_id},
        "environment": {"name": "Production", "id": "j0863n"},
        "data": data,
        "attempts": [],
    }
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
