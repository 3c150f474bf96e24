"""Bunny Stream: HMAC-SHA256 over the body; a video that was encoded, by its id alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.domain.clock import to_ms
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import HexBodySignature
from service.providers.plain_provider import delivery_id

_SIGNATURE = "x-bunnystream-signature"
_FINISHED = 3  # https://docs.bunny.net/stream/webhooks


class BunnyStream(HexBodySignature):
    """https://docs.bunny.net/stream/webhooks

    The secret is the library's read-only API key. Bunny's storage and pull zones send no webhooks. The payload has no
    URL: a rule makes the thumbnail's from `asset.id` and the host of the library's pull zone.
    """

    signature_header = _SIGNATURE
    info = Info(
        name="bunny-stream",
        title="Bunny Stream",
        doc_url="https://docs.bunny.net/stream/webhooks",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        stored_headers=frozenset(
            {_SIGNATURE, f"{_SIGNATURE}-version", f"{_SIGNATURE}-algorithm", "content-type"},
        ),
        guide=Guide(
            setup=(
                "*Stream → the library → API → Webhook URL*: `https://relay.example.com/hooks/NAME`.",
                "`secrets`: the library's **read-only API key**, which is what Bunny signs with.",
                "A rule that makes the thumbnail's URL: `src_images: [\"https://vz-0123.b-cdn.net/{{ asset.id "
                "}}/thumbnail.jpg\"]`, with the host of the library's pull zone.",
            ),
            events="A video that is finished (status 3) becomes `updated`; every other status is ignored. Deletions "
            "are not told, and Bunny's storage and pull zones send nothing.",
            covered="The body alone; no time and no id. The same body again is taken for another event.",
            retries="Unknown: time-out, retries, and whether it is switched off are not documented.",
            urls="Not in the payload, which has the video's id alone: a rule's template makes the thumbnail's URL.",
        ),
    )

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        named = {f"{_SIGNATURE}-version": "v1", f"{_SIGNATURE}-algorithm": "hmac-sha256"}
        return super().signed(Sample(sample.body, {**sample.headers, **named}), path, now, signing_key)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        # A video that is encoded again is told of in the same bytes: each delivery counts.
        return Notification(payload=payload, events=(found,), event_id=delivery_id(request, payload))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"finished": _sample(now)}


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    video_id, status = json_body.text(payload, "VideoGuid"), json_body.scalar(payload, "Status")
    if video_id is None:
        return Ignored("the body has no VideoGuid")
    if status != str(_FINISHED):
        return Ignored(f"the video's status is {status}: it has no new thumbnail")
    return AssetEvent(kind=AssetKind.UPDATED, id=video_id)


def _sample(now: datetime) -> Sample:
    video_id = UUID(int=0x657BB740_A71B_4529_A012 << 48 | to_ms(now), version=4)
    body = {"VideoLibraryId": 133, "VideoGuid": str(video_id), "Status": _FINISHED}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
