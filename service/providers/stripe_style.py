"""Stripe, and whoever signs like it: `t=…,v1=…` with HMAC-SHA256 over time and body; an event around an object."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.clock import iso, to_ms
from service.domain.events import Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample
from service.providers.plain_payload import plain_event
from service.providers.plain_provider import body_digest, json_sample, read_plain
from service.providers.timed_signature import TimedSignature

_SIGNATURE = TimedSignature(header="stripe-signature")


class StripeStyle(Provider):
    """https://docs.stripe.com/webhooks#verify-manually

    `v0` is Stripe's own test scheme and counts for nothing. The whole secret is the key, its `whsec_` too.
    """

    info = Info(
        name="stripe-style",
        title="Stripe and its style of signatures",
        doc_url="https://docs.stripe.com/webhooks#verify-manually",
        signs="HMAC-SHA256 (v1) over time and body, in Stripe-Signature",
        tolerance=300,
        stored_headers=frozenset({_SIGNATURE.header, "content-type"}),
        auth=("capability",),
        guide=Guide(
            setup=(
                "Have the sender post to `https://relay.example.com/hooks/NAME`, with the header `Stripe-Signature: "
                "t=…,v1=…`.",
                "Its secret is one of `secrets`: the whole text is the key, its `whsec_` too.",
            ),
            events="Your sender says what happened: the last part of `type` (or `event`, `event_type`, `action`) is "
            "`created`, `updated`, `published`, `replaced`, `renamed`, `deleted`, `unpublished` or `restored`; "
            "anything else becomes `unknown`. Stripe's own events are read from `data.object`.",
            covered="The body and the time; no other header. The event's id in the body is the same for retries.",
            retries="Stripe tries again for three days, with growing pauses. Time-out is unknown; other senders do "
            "as they please.",
            urls="In the payload, of your own making: `url` or `urls`, and `old_url` or `previous_url` for earlier "
            "ones, at the top or within `data`. Any other shape is up to a rule, which sees the whole `payload`.",
        ),
    )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        signed_at = _SIGNATURE.verify(request, self.source.secrets, now, self.tolerance)
        return Authentic("stripe-v1", signed_at)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        value = _SIGNATURE.value(sample.body, self.source.secrets[0], now)
        return Sample(sample.body, {**sample.headers, _SIGNATURE.header: value})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse(request.body)
        found = json_body.obj(payload, "data", "object")
        if json_body.text(payload, "object") != "event" or not found:
            return read_plain(request, payload)  # Stripe's style, not Stripe
        # The event's own id: Stripe sends the same one again until it is answered.
        event_id = json_body.text(payload, "id")
        event = plain_event(_plain(payload, found), json_body.text(payload, "type") or "", body_digest(request.body))
        return Notification(payload=payload, events=(event,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        image = "https://images.example.com/products/hero"
        product = {"id": "prod_NWjs8kKbJWmuuc", "object": "product", "name": "Hero", "images": [f"{image}-v2.jpg"]}
        return {
            "product.updated": _sample("product.updated", product, now, {"images": [f"{image}.jpg"]}),
            "product.deleted": _sample("product.deleted", product, now),
        }


def _plain(payload: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The object with the images it has and those it had: https://docs.stripe.com/api/events/object"""
    previous = json_body.array(payload, "data", "previous_attributes", "images")
    lists = {"urls": json_body.array(found, "images"), "previous_urls": previous}
    given = {name: urls for name, urls in lists.items() if urls}
    return {"timestamp": json_body.dig(payload, "created"), "data": found | given}


def _sample(event_type: str, found: dict[str, Any], now: datetime, previous: dict[str, Any] | None = None) -> Sample:
    data = {"object": found} | ({"previous_attributes": previous} if previous else {})
    event_id = "evt_" + sha256(f"{event_type} {iso(now)}".encode()).hexdigest()[:24]
    created = to_ms(now) // 1000
    return json_sample({"id": event_id, "object": "event", "type": event_type, "created": created, "data": data})
