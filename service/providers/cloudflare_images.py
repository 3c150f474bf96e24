"""Cloudflare Images: notifications of direct creator uploads, behind the secret of a webhook destination."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from msgspec.structs import replace

from service.domain.clock import iso, to_ms
from service.domain.errors import Unreadable
from service.domain.events import Notification, TestPing
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import CredentialOnly
from service.providers.image_links import image_urls
from service.providers.plain_payload import plain_event
from service.providers.plain_provider import body_digest, json_sample
from service.settings.model import Auth

_DELIVERY = ("https://imagedelivery.net/",)


class CloudflareImages(CredentialOnly):
    """https://developers.cloudflare.com/images/storage/upload-images/configure-webhooks/

    What an alert about images has in its `data` is not documented: an id and URLs are taken where they stand there,
    and rules see all of it.
    """

    info = Info(
        name="cloudflare-images",
        title="Cloudflare Images",
        doc_url="https://developers.cloudflare.com/images/storage/upload-images/configure-webhooks/",
        signs="nothing; `cf-webhook-auth` carries the secret",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("header", "capability"),
        guide=Guide(
            setup=(
                "*Notifications → Destinations → Webhooks → Create* (a zone on the Pro plan or above): "
                "`https://relay.example.com/hooks/NAME`, the secret is one of `secrets`. **Save and Test** sends a "
                "message that the relay keeps as a test.",
                "*Notifications → All Notifications → Add → Images*: that webhook. Attach no other alert to it.",
                "A secret cannot be changed later: to rotate it, create a second webhook, with both in `secrets`.",
            ),
            events="The one alert there is: a direct creator upload has succeeded or failed (→ `updated`; the two are "
            "told apart by the text alone). Nothing tells of an image that was replaced or deleted otherwise.",
            covered="Nothing is signed: whoever holds the secret is believed. A repeated delivery is known by its "
            "`alert_correlation_id`.",
            retries="Time-out, answers that count, retries and whether a destination is switched off are unknown. "
            "Cloudflare delivers to public addresses on the ports 80 and 443 only.",
            urls="`https://imagedelivery.net/ACCOUNT-HASH/IMAGE-ID/VARIANT`, or your own domain. What the alert's "
            "`data` holds is not documented: URLs in it are taken, and a rule makes others of `payload`, one for each "
            "variant that the site uses.",
        ),
    )
    usual_auth = Auth(header="cf-webhook-auth")

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        if json_body.text(payload, "text") is None:
            raise Unreadable("the body is no notification of Cloudflare's: it has no text")
        if "data" not in payload:
            # Save and Test has nothing but a text:
            # https://developers.cloudflare.com/notifications/get-started/configure-webhooks/
            return Notification(payload=payload, instead=TestPing("the test of a webhook destination"))
        correlation = json_body.text(payload, "alert_correlation_id")
        event = plain_event(payload, "image.uploaded", correlation or body_digest(request.body))
        urls = image_urls(payload["data"], _DELIVERY)
        event = replace(event, urls=urls, occurred_at=json_body.moment(payload, "ts"))
        return Notification(payload=payload, events=(event,), event_id=correlation)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        """https://developers.cloudflare.com/notifications/reference/webhook-payload-schema/"""
        alert = {
            "name": "images",
            "text": "Image upload succeeded",
            "data": {},
            "ts": to_ms(now) // 1000,
            "account_id": "9035f53656c247e895c5a6939ae8a0e0",
            "policy_id": "749b911ea5d04344a58e45edd099b328",
            "policy_name": "images",
            "alert_correlation_id": sha256(iso(now).encode()).hexdigest()[:32],
        }
        test = "Hello World! This is a test message sent from https://cloudflare.com."
        return {
            "uploaded": json_sample(alert),
            "test": json_sample(
                {"text": f"{test} If you can see this, your webhook is configured properly. {iso(now)}"}
            ),
        }
