"""Frontify: HMAC-SHA256 over the body, as its receivers have it; assets of a project."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import BodySignature
from service.providers.image_links import image_urls
from service.providers.plain_provider import body_digest, delivery_id, json_sample

_SIGNATURE = "x-frontify-webhook-signature"
# https://frontify.github.io/graphql-api-reference/enum/AssetWebhookEvent.html. Everything else there is about what
# surrounds a file: attachments, relations, collections, tags, licences, tasks.
_KINDS = {
    "ASSET_CREATED": AssetKind.CREATED,
    "ASSET_UPDATED": AssetKind.UPDATED,
    "ASSET_MOVED": AssetKind.UPDATED,
    "ASSET_PROCESSED": AssetKind.UPDATED,
    "ASSET_REVISION_ADDED": AssetKind.REPLACED,
    "ASSET_VARIANT_ADDED": AssetKind.UPDATED,
    "ASSET_VARIANT_UPDATED": AssetKind.UPDATED,
    "ASSET_VARIANT_REMOVED": AssetKind.UPDATED,
    "ASSET_DELETED": AssetKind.DELETED,
}


class Frontify(BodySignature):
    """https://developer.frontify.com/d/wJcTnsuhwb6T/webhooks

    Header and encoding are those of two receivers that others wrote; Frontify's own page was not at hand.
    """

    signature_header = _SIGNATURE
    info = Info(
        name="frontify",
        title="Frontify",
        doc_url="https://developer.frontify.com/d/wJcTnsuhwb6T/webhooks",
        signs="HMAC-SHA256 over the body (not confirmed by Frontify)",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, "content-type"}),
        guide=Guide(
            setup=(
                "Install a webhook on the project: notification URL `https://relay.example.com/hooks/NAME`, and name "
                "the events below, as none named means all.",
                "`secrets`: the secret that Frontify made for it.",
                "Have one event sent and look at it with `image-relay receipts show`: that the signature is in "
                "`X-Frontify-Webhook-Signature`, in base64, is **not confirmed by Frontify**, and what the payload "
                "holds beside `event` is unknown. Where it differs, `auth: {capability: true}` takes it all the same.",
            ),
            events="`ASSET_REVISION_ADDED` (→ `replaced`), `ASSET_UPDATED`, `ASSET_PROCESSED`, `ASSET_MOVED` and "
            "`ASSET_VARIANT_…` (→ `updated`), `ASSET_DELETED`, `ASSET_CREATED`. Attachments, relations, collections, "
            "tags, licences and tasks are ignored.",
            covered="The whole body, with the time of the event but none of sending. No header.",
            retries="Time-out, what counts as delivered, retries and switching off are unknown.",
            urls="In the payload: every image URL in it, if there is one (unknown). Otherwise by the asset's id, with "
            "`lookup` in a rule or `resolve:`.",
        ),
    )

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload, request)
        event_id = delivery_id(request, {"timestamp": json_body.dig(payload, "event", "occurredAt")})
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {action: _sample(action, now) for action in ("ASSET_REVISION_ADDED", "ASSET_DELETED", "ASSET_CREATED")}


def _asset_event(payload: dict[str, Any], request: Verified) -> AssetEvent | Ignored:
    """The asset's place in the payload is not documented: where it is not found, the event has no memory."""
    action = json_body.text(payload, "event", "action")
    if action is None:
        raise Unreadable("the body has no event.action")
    kind = _KINDS.get(action)
    if kind is None:
        return Ignored(f"{action} changes no file")
    asset = json_body.obj(payload, "asset") or json_body.obj(payload, "data", "asset")
    return AssetEvent(
        kind=kind,
        id=json_body.scalar(asset, "id") or body_digest(request.body),
        urls=image_urls(payload),
        occurred_at=json_body.moment(payload, "event", "occurredAt"),
    )


def _sample(action: str, now: datetime) -> Sample:
    file = sha256(iso(now).encode()).hexdigest()[:16]
    return json_sample(
        {
            "event": {"action": action, "occurredAt": iso(now), "processedAt": iso(now)},
            "asset": {"id": 4711, "previewUrl": f"https://cdn-assets.frontify.com/{file}/hero.jpg"},
        }
    )
