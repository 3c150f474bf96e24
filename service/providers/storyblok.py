"""Storyblok: HMAC-SHA1 over the body; what happened to an asset, by its id alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Info, Sample
from service.providers.body_signature import HexBodySignature
from service.providers.signatures import hmac_sha1

_SIGNATURE = "webhook-signature"  # Standard Webhooks has a header of this name too, with something else in it
_TOPIC = "x-storyblok-topic"

# https://www.storyblok.com/docs/api/management/core-resources/webhooks/add-a-webhook. Replacing a file keeps its URL:
# https://www.storyblok.com/docs/apps/replace-asset
_KINDS = {
    "created": AssetKind.CREATED,
    "replaced": AssetKind.REPLACED,
    "deleted": AssetKind.DELETED,
    "restored": AssetKind.RESTORED,
}


class Storyblok(HexBodySignature):
    """https://www.storyblok.com/tp/webhook-secret-with-different-technologies"""

    signature_header = _SIGNATURE
    signature_bytes = 20
    scheme = "sha1"
    info = Info(
        name="storyblok",
        title="Storyblok",
        doc_url="https://www.storyblok.com/docs/concepts/webhooks",
        signs="HMAC-SHA1 over the body",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, _TOPIC, "content-type"}),
    )

    def signature_of(self, key: bytes, body: bytes) -> bytes:
        return hmac_sha1(key, body)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload, request.headers)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        return Notification(payload=payload, events=(found,), event_id=_event_id(request))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {f"asset.{action}": _sample(action, now) for action in ("replaced", "restored", "deleted", "created")}


def _asset_event(payload: dict[str, Any], headers: Mapping[str, str]) -> AssetEvent | Ignored:
    """The body alone tells what happened: the signature leaves the topic's header out."""
    asset_id = json_body.scalar(payload, "asset_id")
    if asset_id is None:
        topic = headers.get(_TOPIC, "")
        if topic.startswith("asset."):
            raise Unreadable(f"the topic is {topic} and the body has no asset_id")
        return Ignored("not about an asset: the body has no asset_id")
    return AssetEvent(
        kind=_KINDS.get(json_body.text(payload, "action") or "", AssetKind.UNKNOWN),
        id=asset_id,
        environment=json_body.scalar(payload, "space_id"),
    )


def _event_id(request: Verified) -> str:
    """The moment of receipt sets deliveries apart: the body has neither id nor time, and two replacements of an asset
    by the same user are the same bytes. Nothing is sent twice: https://www.storyblok.com/docs/guide/in-depth/webhooks"""
    return f"{to_ms(request.received_at)}-{sha256(request.body).hexdigest()[:32]}"


def _sample(action: str, now: datetime) -> Sample:
    text = f"The user jane@example.com {action} the asset hero-{to_ms(now)}.jpg"
    body = {"text": text, "action": action, "space_id": 606, "asset_id": 44202}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json", _TOPIC: f"asset.{action}"})
