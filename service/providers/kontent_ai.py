"""Kontent.ai: HMAC-SHA256 over the body; notifications about assets, by their id alone."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample
from service.providers.signatures import from_base64, hmac_sha256, matches_any

_SIGNATURE = "x-kontent-ai-signature"
_LEGACY_SIGNATURE = "x-kc-signature"  # https://kontent.ai/learn/docs/webhooks/legacy-webhooks

# https://kontent.ai/learn/docs/webhooks/webhooks. Whether a replaced file changes its URL is not documented: the
# default rule purges what is remembered either way.
_KINDS = {
    "created": AssetKind.CREATED,
    "changed": AssetKind.UPDATED,  # what early-access webhooks called the next one
    "metadata_changed": AssetKind.UPDATED,
    "deleted": AssetKind.DELETED,
}


_HOST = re.compile(r"https://(preview-)?(assets-[a-z]{2}-[0-9]{2}\.kc-usercontent\.com(?::443)?/.*)", re.DOTALL)


def _preview(url: str) -> Iterator[str]:
    """Drafts have hosts of their own: `assets-us-01.…` and `preview-assets-us-01.kc-usercontent.com`."""
    if found := _HOST.fullmatch(url):
        yield f"https://{'' if found[1] else 'preview-'}{found[2]}"


_VARIANTS = {"preview": Variant("at the preview host, or the public one where it is that", _preview)}


class KontentAi(Provider):
    """https://kontent.ai/learn/docs/webhooks/webhooks

    The received bytes alone are judged. Release 4.0.0 of the vendor's helper rewrites every line break to CRLF first;
    its release 3.0.3 refuses a body whose line breaks are not the signed ones, and so does this.
    """

    info = Info(
        name="kontent-ai",
        title="Kontent.ai",
        doc_url="https://kontent.ai/learn/docs/webhooks/webhooks",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, _LEGACY_SIGNATURE, "content-type"}),
        guide=Guide(
            setup=(
                "*Environment settings → Webhooks → Create new webhook*: URL address "
                "`https://relay.example.com/hooks/NAME`.",
                "Content types of events: **Asset**, with created, changed and deleted; delivery slot *published*, "
                "or *preview* for a site that shows drafts.",
                "Copy the webhook's secret: it is one of `secrets`.",
            ),
            events="`metadata_changed` (and the older `changed`) become `updated`, `created` and `deleted` are what "
            "they say. Whether a new file raises `metadata_changed` is unknown. What is about content items is "
            "ignored.",
            covered="The body alone, as its bytes came. There is no time and no id; a replayed body is taken for "
            "the same event.",
            retries="Notifications may come in batches, minutes late, and rarely out of order. Failed ones are "
            "retried; how often, within what time, and whether the webhook is switched off, is unknown.",
            urls="Not in the payload, which has the id alone: the `resolve` preset `kontent-ai` asks the management "
            "API, and the answer is remembered. The delivery API may spell URLs with `:443`: the rule's `port-443` "
            "covers both. Variant: `preview` (the preview host and the public one).",
        ),
    )
    variants = _VARIANTS

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        legacy = request.header(_SIGNATURE) is None and request.header(_LEGACY_SIGNATURE) is not None
        given = from_base64(request.required(_LEGACY_SIGNATURE if legacy else _SIGNATURE))
        if not matches_any([given], self._signatures(request.body)):
            raise Refused("signature_mismatch")
        return Authentic("kontent-ai-v1")

    def _signatures(self, body: bytes) -> list[bytes]:
        # The key is the secret's text, although it looks like base64: the helper's own tests prove it.
        return [hmac_sha256(secret.encode(), body) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        signature = base64.b64encode(self._signatures(sample.body)[0]).decode()
        return Sample(sample.body, {**sample.headers, _SIGNATURE: signature})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        notifications = json_body.dig(payload, "notifications")
        if not isinstance(notifications, list):
            raise Unreadable("the body has no array of notifications")
        events = tuple(_asset_events(notifications))
        instead = None if events else Ignored("no notification is about an asset")
        return Notification(payload=payload, events=events, instead=instead)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {action: _sample(action, now) for action in ("metadata_changed", "deleted", "created")}


def _asset_events(notifications: list[Any]) -> Iterator[AssetEvent]:
    """One event a notification that is about an asset; they come in batches."""
    for one in notifications:
        if json_body.text(one, "message", "object_type") != "asset":
            continue
        asset_id = json_body.text(one, "data", "system", "id")
        if asset_id is None:
            raise Unreadable("a notification about an asset has no data.system.id")
        yield AssetEvent(
            kind=_KINDS.get(json_body.text(one, "message", "action") or "", AssetKind.UNKNOWN),
            id=asset_id,
            environment=json_body.text(one, "message", "environment_id"),
            occurred_at=json_body.moment(one, "data", "system", "last_modified"),
        )


def _sample(action: str, now: datetime) -> Sample:
    system = {
        "id": "aa7f127f-1920-4454-a89a-0609aba8ea6f",
        "name": "hero.jpg",
        "codename": "hero_jpg",
        "last_modified": iso(now),
    }
    message = {
        "environment_id": "0f5b6cb2-ea82-014e-ac74-f71e7e8b6aee",
        "object_type": "asset",
        "action": action,
        "delivery_slot": "published",
    }
    body = {"notifications": [{"data": {"system": system}, "message": message}]}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
