"""WooCommerce: HMAC-SHA256 over the body; products with the images they show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Greeting, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import BodySignature
from service.providers.image_links import product_images
from service.providers.plain_provider import delivery_id, json_sample
from service.providers.wordpress_urls import WORDPRESS_VARIANTS

_HEADER = "x-wc-webhook-"
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")

# https://developer.wordpress.org/reference/functions/wp_specialchars_decode/ with ENT_QUOTES: these and no others.
_ENTITY = re.compile(r"&(?:(?P<name>lt|gt|amp|quot)|#0*(?P<decimal>3[489]|6[02])|#[xX]0*(?P<hex>2[267]));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}

_KINDS = {
    "created": AssetKind.CREATED,
    "updated": AssetKind.UPDATED,
    "deleted": AssetKind.DELETED,
    "restored": AssetKind.RESTORED,
}


class WooCommerce(BodySignature):
    """https://woocommerce.com/document/webhooks/

    What is signed and sent: https://github.com/woocommerce/woocommerce (`includes/class-wc-webhook.php`).
    """

    info = Info(
        name="woocommerce",
        title="WooCommerce",
        doc_url="https://woocommerce.com/document/webhooks/",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        unreadable_status=200,  # five errors in a row and WooCommerce sends no more
        stored_headers=frozenset(
            {
                *(f"{_HEADER}{name}" for name in ("signature", "topic", "resource", "event", "id", "source")),
                f"{_HEADER}delivery-id",
                "content-type",
            }
        ),
        guide=Guide(
            setup=(
                "*WooCommerce → Settings → Advanced → Webhooks → Add webhook*: status **Active**, delivery URL "
                "`https://relay.example.com/hooks/NAME`, API version **WP REST API Integration v3**.",
                "One webhook for each of the topics **Product created**, **Product updated**, **Product deleted** and "
                "**Product restored**, all with the same secret: one of `secrets`.",
            ),
            events="`product.updated` becomes `updated`, whatever changed of the product; a rule for "
            '`asset.kind == "replaced"` purges only where its images are others than those remembered. '
            "`product.created`, `.deleted` and `.restored` are what they say; a product that was deleted has nothing "
            "but its id, and its images are those remembered. Other topics are ignored.",
            covered="The body alone: neither topic nor delivery id, and no time. What still shows images is therefore "
            "not believed to be deleted, and a delivery counts as known only with the same id and the same body. "
            "WooCommerce signs with the secret after undoing HTML entities; both spellings are tried.",
            retries="An answer is due within 60 s; 200 to 302 counts. Nothing is retried, and after more than five "
            "failures in a row WooCommerce **disables the webhook**. The unsigned `webhook_id=…` it sends on saving is "
            "answered 200, as it asks for, and stored nowhere.",
            urls="In the payload: `images[].src`. WordPress makes smaller files of an upload; the variants `uploaded` "
            "and `scaled` are two of them, a rule makes others.",
        ),
    )
    variants = WORDPRESS_VARIANTS
    signature_header = f"{_HEADER}signature"

    def signing_keys(self) -> list[bytes]:
        plain = [secret.reveal() for secret in self.source.secrets]
        return [secret.encode() for secret in dict.fromkeys([*plain, *map(_without_entities, plain)])]

    def greeting(self, request: RawRequest, now: datetime) -> Greeting | None:
        """The ping on creation, which takes exactly a 200 (`WC_Webhook::deliver_ping`)."""
        if request.method != "POST" or not _PING.fullmatch(request.body):
            return None
        if request.header(self.signature_header) is not None:
            return None
        kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            return None
        if self.credential is not None:
            self.verify(request, now)
        return Greeting(reason="WooCommerce asks whether somebody is here")

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        topic = request.headers.get(f"{_HEADER}topic") or ""
        resource, _, action = topic.partition(".")
        if resource != "product":
            return Notification(payload=payload, instead=Ignored(f"the topic {topic} is not about a product"))
        # A hash of the webhook's id and the second: two deliveries within one have the same.
        event_id = delivery_id(request, payload, request.headers.get(f"{_HEADER}delivery-id") or None)
        return Notification(payload=payload, events=(_asset_event(action, payload, request),), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        product = _sample_product(now)
        return {
            "product.updated": _sample("product.updated", product, now),
            "product.deleted": _sample("product.deleted", {"id": product["id"]}, now),
            "product.created": _sample("product.created", product, now),
        }


def _without_entities(secret: str) -> str:
    return _ENTITY.sub(_character, secret)


def _character(entity: re.Match[str]) -> str:
    if entity["name"]:
        return _NAMED[entity["name"]]
    return chr(int(entity["decimal"]) if entity["decimal"] else int(entity["hex"], 16))


def _asset_event(action: str, payload: dict[str, Any], request: Verified) -> AssetEvent:
    """The whole product is one asset: when it is deleted, nothing but its id is told."""
    product_id = json_body.scalar(payload, "id")
    if product_id is None:
        raise Unreadable("the product has no id")
    urls = product_images(payload)
    kind = _KINDS.get(action, AssetKind.UPDATED)
    if kind.gone and urls:
        kind = AssetKind.UPDATED
    return AssetEvent(
        kind=kind,
        id=f"product/{product_id}",
        urls=urls,
        occurred_at=request.received_at if kind.gone else json_body.moment(payload, "date_modified_gmt"),
    )


def _sample_product(now: datetime) -> dict[str, Any]:
    modified = iso(now).partition(".")[0]  # as WordPress spells it: no zone
    mark = sha256(modified.encode()).hexdigest()[:8]
    source = f"https://shop.example.com/wp-content/uploads/2026/11/hero-{mark}.jpg"
    return {
        "id": 794,
        "name": "Example T-Shirt",
        "slug": "example-t-shirt",
        "type": "simple",
        "status": "publish",
        "date_modified": modified,
        "date_modified_gmt": modified,
        "images": [{"id": 792, "date_modified_gmt": modified, "src": source, "name": "hero", "alt": ""}],
    }


def _sample(topic: str, body: dict[str, Any], now: datetime) -> Sample:
    resource, _, event = topic.partition(".")
    headers = {
        f"{_HEADER}source": "https://shop.example.com/",
        f"{_HEADER}topic": topic,
        f"{_HEADER}resource": resource,
        f"{_HEADER}event": event,
        f"{_HEADER}id": "12",
        f"{_HEADER}delivery-id": sha256(f"12 {iso(now)}".encode()).hexdigest()[:32],
    }
    return json_sample(body, headers)
