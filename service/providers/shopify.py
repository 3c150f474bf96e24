"""Shopify: HMAC-SHA256 over the body; products and collections with the images they show."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample
from service.providers.image_links import product_images
from service.providers.signatures import from_base64, hmac_sha256, matches_any

_USUAL, _EVENTS = "x-shopify-", "shopify-"  # the latter names the headers of the newer kind of subscriptions, "events"
_SIGNATURE = "hmac-sha256"

# The signature covers none of these, and yet Shopify's library refuses a webhook without them:
# https://www.npmjs.com/package/@shopify/shopify-api (`webhooks.validate`)
_DEMANDED = {_USUAL: ("topic", "shop-domain", "api-version", "webhook-id"), _EVENTS: ("topic",)}

# https://shopify.dev/docs/api/admin-graphql/latest/enums/WebhookSubscriptionTopic names no topic about files.
_RESOURCES = {"products": "product", "product": "product", "collections": "collection", "collection": "collection"}
_KINDS = {"create": AssetKind.CREATED, "update": AssetKind.UPDATED, "delete": AssetKind.DELETED}


def _without_version(url: str) -> Iterator[str]:
    """The version of a file, which Shopify puts into every URL that it gives out."""
    bare, _, query = url.partition("?")
    kept = [part for part in query.split("&") if not part.startswith("v=")]
    if bare.startswith("https://cdn.shopify.com/") and kept != query.split("&"):
        yield f"{bare}?{'&'.join(kept)}" if kept else bare


_VARIANTS = {"without-v": Variant("without `v=…`, with the rest of its query", _without_version)}


class Shopify(Provider):
    """https://shopify.dev/docs/apps/build/webhooks/verify-deliveries

    An update tells of any change, a price's too. The address of an image changes with its file (`?v=…`), so a rule for
    `asset.kind == "replaced"` purges only where the images are others than those remembered.
    """

    info = Info(
        name="shopify",
        title="Shopify",
        doc_url="https://shopify.dev/docs/apps/build/webhooks/verify-deliveries",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        stored_headers=frozenset(
            {
                *(f"{_USUAL}{name}" for name in (*_DEMANDED[_USUAL], _SIGNATURE, "event-id", "triggered-at")),
                *(f"{_EVENTS}{name}" for name in (*_DEMANDED[_USUAL], _SIGNATURE, "event-id", "action")),
                "content-type",
            }
        ),
        guide=Guide(
            setup=(
                "In your app, subscribe to `products/create`, `products/update`, `products/delete` and, for "
                "collections, `collections/create`, `collections/update`, `collections/delete`; or *Settings → "
                "Notifications → Webhooks*, format JSON.",
                "Delivery URL `https://relay.example.com/hooks/NAME`.",
                "`secrets`: the app's client secret, or the one that the Notifications page shows; after a rotation "
                "both.",
            ),
            events='`update` becomes `updated` whatever changed, a price too; a rule for `asset.kind == "replaced"` '
            "purges only where the images differ. `create` and `delete` are what they say. Files have no topic of "
            "their own.",
            covered="The body alone: neither topic nor shop nor id, and no time. What still shows images is "
            "therefore not believed to be deleted.",
            retries="Eight more attempts within four hours, with the first one's payload. An answer within 5 s is "
            "what its community reports; whether a subscription is removed after failures is unknown.",
            urls="In the payload: `image.src` and `images[].src`, whose `?v=` changes with the file; the old ones "
            "are remembered. A deletion has the id alone. Variant: `without-v` (the URL without its version, with "
            "the rest of its query).",
        ),
    )
    variants = _VARIANTS

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        newer = request.header(_USUAL + _SIGNATURE) is None and request.header(_EVENTS + _SIGNATURE) is not None
        family = _EVENTS if newer else _USUAL
        given = from_base64(request.required(family + _SIGNATURE))
        for name in _DEMANDED[family]:
            request.required(family + name, "header_missing")
        if not matches_any([given], self._signatures(request.body)):
            raise Refused("signature_mismatch")
        return Authentic("shopify-v1")

    def _signatures(self, body: bytes) -> list[bytes]:
        # After a rotation Shopify signs with the old secret for up to an hour, so a source gives both.
        return [hmac_sha256(secret.encode(), body) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        signature = base64.b64encode(self._signatures(sample.body)[0]).decode()
        return Sample(sample.body, {**sample.headers, _USUAL + _SIGNATURE: signature})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        topic = _header(request.headers, "topic") or ""
        resource, _, action = topic.lower().partition("/")
        action = action or (request.headers.get(_EVENTS + "action") or "").lower()
        if resource not in _RESOURCES:
            return Notification(payload=payload, instead=Ignored(f"the topic {topic} is not about images"))
        event = _asset_event(_RESOURCES[resource], action, payload, request)
        return Notification(payload=payload, events=(event,), event_id=_event_id(request))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        product = _sample_product(now)
        return {
            "products/update": _sample("products/update", product, now),
            "products/delete": _sample("products/delete", {"id": product["id"]}, now),
            "products/create": _sample("products/create", product, now),
        }


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return headers.get(_USUAL + name) or headers.get(_EVENTS + name)


def _asset_event(resource: str, action: str, payload: dict[str, Any], request: Verified) -> AssetEvent:
    """The whole product is one asset: when it is deleted, nothing but its id is told.

    The topic is not signed. What still shows images is not believed to be deleted, and no time is taken from a header.
    """
    resource_id = json_body.scalar(payload, "id")
    if resource_id is None:
        raise Unreadable(f"the {resource} has no id; does the subscription's include_fields leave it out?")
    urls = product_images(payload)
    kind = _KINDS.get(action, AssetKind.UPDATED)
    if kind.gone and urls:
        kind = AssetKind.UPDATED
    return AssetEvent(
        kind=kind,
        id=f"{resource}/{resource_id}",
        urls=urls,
        occurred_at=request.received_at if kind.gone else json_body.moment(payload, "updated_at"),
    )


def _event_id(request: Verified) -> str | None:
    """The delivery's id, which its retries share, with the body: the id is not signed.

    https://shopify.dev/docs/apps/build/webhooks/verify-deliveries
    """
    delivery = _header(request.headers, "webhook-id")
    return f"{delivery} {sha256(request.body).hexdigest()[:32]}" if delivery else None


def _sample_product(now: datetime) -> dict[str, Any]:
    image = {"id": 850703190, "src": f"https://cdn.shopify.com/s/files/1/0001/files/hero.jpg?v={to_ms(now) // 1000}"}
    return {
        "id": 788032119674292922,
        "admin_graphql_api_id": "gid://shopify/Product/788032119674292922",
        "title": "Example T-Shirt",
        "updated_at": iso(now),
        "image": image,
        "images": [image],
    }


def _sample(topic: str, body: dict[str, Any], now: datetime) -> Sample:
    delivery = UUID(bytes=sha256(f"{topic} {iso(now)}".encode()).digest()[:16], version=4)
    headers = {
        "content-type": "application/json",
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": "acme.myshopify.com",
        "x-shopify-api-version": "2026-01",
        "x-shopify-webhook-id": str(delivery),
        "x-shopify-triggered-at": iso(now),
    }
    return Sample(msgspec.json.encode(body), headers)
