"""Cloudflare Stream: HMAC-SHA256 over time and body; a video that is ready has a poster image."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample
from service.providers.delivery_urls import delivery_urls
from service.providers.timed_signature import TimedSignature

_SIGNATURE = TimedSignature("webhook-signature", "time", "sig1")


class CloudflareStream(Provider):
    """https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/"""

    info = Info(
        name="cloudflare-stream",
        title="Cloudflare Stream",
        doc_url="https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/",
        signs="HMAC-SHA256 over time and body",
        tolerance=300,  # Cloudflare says "too old" and no number
        stored_headers=frozenset({_SIGNATURE.header, "content-type"}),
        guide=Guide(
            setup=(
                "`PUT https://api.cloudflare.com/client/v4/accounts/ACCOUNT/stream/webhook` with "
                '`{"notificationUrl": "https://relay.example.com/hooks/NAME"}`: an account has one webhook.',
                "The answer's `secret` is one of `secrets`.",
            ),
            events="A video that is ready becomes `updated`, as nothing says whether it was there before; videos in "
            "another state are ignored. Deletions are not told.",
            covered="The body and the time. A delivery has no id: video, state and time of change serve.",
            retries="Unknown: time-out, retries, and whether the webhook is switched off are not documented.",
            urls="In the payload: `thumbnail`. Other sizes and times (`?time=…`) are up to a rule's template.",
        ),
    )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        signed_at = _SIGNATURE.verify(request, self.source.secrets, now, self.tolerance)
        return Authentic("cloudflare-stream-sig1", signed_at)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        value = _SIGNATURE.value(sample.body, self.source.secrets[0], now)
        return Sample(sample.body, {**sample.headers, _SIGNATURE.header: value})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        return Notification(payload=payload, events=(found,), event_id=_event_id(payload, found))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"ready": _sample(now)}


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    """The body is the video itself: it names no event, so that a first time cannot be told from a later one."""
    state, video_id = json_body.text(payload, "status", "state"), json_body.text(payload, "uid")
    if video_id is None:
        return Ignored("the body has no video's uid")
    if state != "ready":
        return Ignored(f"the video's state is {state}: it has no new poster image")
    return AssetEvent(
        kind=AssetKind.UPDATED,
        id=video_id,
        urls=delivery_urls(payload, "thumbnail"),
        filename=json_body.text(payload, "meta", "name"),
        occurred_at=json_body.moment(payload, "modified"),
    )


def _event_id(payload: dict[str, Any], event: AssetEvent) -> str | None:
    """A delivery has no id; a video's state at a time serves."""
    modified = json_body.text(payload, "modified")
    return modified and f"{event.id} ready {modified}"


def _sample(now: datetime) -> Sample:
    video_id = "6b9e68b07dfee8cc2d116e4c51d6a957"
    host = "customer-f33zs165nr7gyfy4.cloudflarestream.com"
    body = {
        "uid": video_id,
        "creator": None,
        "thumbnail": f"https://{host}/{video_id}/thumbnails/thumbnail.jpg",
        "readyToStream": True,
        "status": {"state": "ready", "pctComplete": "100.000000"},
        "meta": {"name": "hero.mp4"},
        "created": "2026-06-01T10:00:00.000000Z",
        "modified": iso(now),
    }
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
