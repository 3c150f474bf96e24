"""Hygraph: HMAC-SHA256 over a JSON document of body text, environment and time; webhooks of the model Asset."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, refuse_stale
from service.providers.other_hosts import other_hosts
from service.providers.signatures import from_base64, hmac_sha256, matches_any, unix_time

_SIGNATURE = "gcms-signature"
# The time is signed as a number: leading zeros would be another spelling of the same one.
_HEADER = re.compile(r"sign=([A-Za-z0-9+/]{43}=), env=([\x20-\x2b\x2d-\x7e]{1,200}), t=([1-9][0-9]{0,14})")

# https://hygraph.com/classic-docs/api-reference/basics/webhooks. A site may read drafts, so their changes count.
_KINDS = {
    "create": AssetKind.CREATED,
    "update": AssetKind.UPDATED,
    "publish": AssetKind.UPDATED,
    "unpublish": AssetKind.UNPUBLISHED,
    "delete": AssetKind.DELETED,
}


class Hygraph(Provider):
    """https://www.npmjs.com/package/@hygraph/utils (`verifyWebhookSignature`)"""

    info = Info(
        name="hygraph",
        title="Hygraph",
        doc_url="https://hygraph.com/classic-docs/api-reference/basics/webhooks",
        signs="HMAC-SHA256 over body, environment and time",
        tolerance=3600,  # Hygraph retries and does not say whether it signs anew; its own library looks at no age
        stored_headers=frozenset({_SIGNATURE, "content-type"}),
        guide=Guide(
            setup=(
                "*Project settings → Webhooks → Add webhook*: URL `https://relay.example.com/hooks/NAME`, method "
                "**POST**, **Include payload** on.",
                "Triggers: content model **Asset**, the stage that the site reads, actions Create, Update, Delete, "
                "Publish and Unpublish.",
                "Choose a secret key: it is one of `secrets`.",
            ),
            events="`publish` and `update` become `updated`, `create` `created`, `unpublish` `unpublished`, "
            "`delete` `deleted`. Other models are ignored.",
            covered="The body's text, the environment's name and the time. There is no id of the event.",
            retries="An answer is due within 3 s; four retries, as the older documentation says. What counts as "
            "delivered, whether a retry has a new time, and whether a webhook is switched off, is unknown.",
            urls="`data.url`, where the payload includes it (whether it does by itself is unknown): the `resolve` "
            "preset `hygraph` asks the content API otherwise. Variant: `other-hosts` (media.graphassets.com and the "
            "older media.graphcms.com).",
        ),
    )
    variants = other_hosts(("media.graphassets.com", "media.graphcms.com"))  # the latter from when it was GraphCMS

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        found = _HEADER.fullmatch(request.required(_SIGNATURE))
        if found is None:
            raise Refused("signature_malformed", f"{_SIGNATURE} is not sign=…, env=…, t=…")
        given, environment, timestamp = found.groups()
        signed_at = unix_time(timestamp, "ms")
        if not matches_any([from_base64(given)], self._signatures(request.body, environment, timestamp)):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic("hygraph-v1", signed_at)

    def _signatures(self, body: bytes, environment: str, timestamp: str) -> list[bytes]:
        message = _message(body, environment, timestamp)
        return [hmac_sha256(secret.encode(), message) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        environment, timestamp = "master", str(to_ms(now))
        signature = base64.b64encode(self._signatures(sample.body, environment, timestamp)[0]).decode()
        return Sample(
            sample.body, {**sample.headers, _SIGNATURE: f"sign={signature}, env={environment}, t={timestamp}"}
        )

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        type_name = json_body.text(payload, "data", "__typename")
        if type_name != "Asset":
            return Notification(payload=payload, instead=Ignored(f"about the model {type_name}, not Asset"))
        return Notification(payload=payload, events=(_asset_event(payload, request),))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {operation: _sample(operation, now) for operation in ("publish", "unpublish", "delete")}


def _message(body: bytes, environment: str, timestamp: str) -> bytes:
    """What JavaScript's `JSON.stringify({Body, EnvironmentName, TimeStamp})` gives, as UTF-8."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Refused("body_not_text", "the body is signed as text, and is not UTF-8") from None
    document = {"Body": text, "EnvironmentName": environment, "TimeStamp": int(timestamp)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _asset_event(payload: dict[str, Any], request: Verified) -> AssetEvent:
    data = json_body.obj(payload, "data")
    asset_id = json_body.text(data, "id")
    if asset_id is None:
        raise Unreadable("the asset has no data.id; is the webhook's payload left out?")
    kind = _KINDS.get(json_body.text(payload, "operation") or "", AssetKind.UNKNOWN)
    header = _HEADER.fullmatch(request.headers.get(_SIGNATURE, ""))
    # An asset that is gone was updated last while it was still there.
    times = [json_body.moment(data, "updatedAt"), request.signed_at]
    return AssetEvent(
        kind=kind,
        id=asset_id,
        urls=_urls(data),
        filename=json_body.text(data, "fileName"),
        mime_type=json_body.text(data, "mimeType"),
        environment=header[2] if header else None,
        locale=json_body.text(data, "locale"),
        occurred_at=next((time for time in (reversed(times) if kind.gone else times) if time is not None), None),
        content_hash=json_body.text(data, "handle"),
    )


def _urls(data: dict[str, Any]) -> tuple[str, ...]:
    """The asset's and its localizations' URLs, where the webhook includes them."""
    given = (json_body.text(one, "url") for one in (data, *json_body.array(data, "localizations")))
    return tuple(dict.fromkeys(url for url in given if url is not None and json_body.is_url(url)))


def _sample(operation: str, now: datetime) -> Sample:
    handle = sha256(iso(now).encode()).hexdigest()[:20]
    data = {
        "__typename": "Asset",
        "id": "ckz0f3c9c0qkh0b60xy2d3s2v",
        "stage": "PUBLISHED",
        "updatedAt": iso(now),
        "fileName": "hero.jpg",
        "mimeType": "image/jpeg",
        "handle": handle,
        "url": f"https://media.graphassets.com/{handle}",
        "localizations": [],
    }
    return Sample(msgspec.json.encode({"operation": operation, "data": data}), {"content-type": "application/json"})
