"""Storyblok: HMAC-SHA1 over the body; what happened to an asset, by its id alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import HexBodySignature
from service.providers.other_hosts import other_hosts
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


_ASSET = re.compile(r"https://a2?(?:-(?:us|ap|ca))?\.storyblok\.com/f/[^?#]*[^/?#]")


def _image_service(url: str) -> Iterator[str]:
    """https://www.storyblok.com/docs/api/image-service: filters follow the `/m/`, and a rule's template adds them."""
    if _ASSET.fullmatch(url) and "/m/" not in url:
        yield f"{url}/m/"


_VARIANTS = {
    # https://www.storyblok.com/docs/concepts/assets
    **other_hosts(
        ("a.storyblok.com", "a2.storyblok.com"),
        ("a-us.storyblok.com", "a2-us.storyblok.com"),
        ("a-ap.storyblok.com", "a2-ap.storyblok.com"),
    ),
    "image-service": Variant("with `/m/` behind it, the image service's own form", _image_service),
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
        guide=Guide(
            setup=(
                "*Settings → Webhooks → New webhook*: endpoint URL `https://relay.example.com/hooks/NAME`; triggers "
                "**Asset created, replaced, deleted, restored**.",
                "Give it a webhook secret (not in every plan): it is one of `secrets`.",
                "`resolve: {preset: storyblok}` with a personal access token makes URLs of ids.",
            ),
            events="`asset.replaced`, `.deleted`, `.restored` and `.created` are what they say; the body's `action` "
            "decides, as the topic is not signed. Stories and data sources are ignored.",
            covered="The body alone. There is no time and no id in it, so a replayed request is taken for another "
            "event and purges again.",
            retries="An answer is due within 120 s, has to be 2xx and JSON, which it is. Nothing is retried: what "
            "the relay misses is lost, and Storyblok sends the owner an e-mail. Whether a webhook is switched off "
            "is unknown.",
            urls="Not in the payload, which has `asset_id` alone: the `resolve` preset `storyblok` asks the "
            "management API; after that the URL is remembered, and a replaced file keeps it. Variants: "
            "`other-hosts` (`a` and `a2`), `image-service` (`/m/` behind the URL).",
        ),
    )
    variants = _VARIANTS

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
