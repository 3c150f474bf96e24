"""Canto: a token in the body; assets by their id alone, and what happened in the webhook's URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_secret import BodySecret
from service.providers.plain_provider import delivery_id, json_sample
from service.providers.registered_url import kind_of_url


class Canto(BodySecret):
    """https://github.com/flownative/neos-canto, which is another receiver: Canto publishes no page about its webhooks

    No body says what happened: every kind of event has a URL of its own in Canto. Its `?event=…` goes along in the
    scheme, as whoever knows the token is believed about it too.
    """

    secret_field = "secure_token"  # noqa: S105 - the name of the field, not a secret
    info = Info(
        name="canto",
        title="Canto",
        doc_url="https://github.com/flownative/neos-canto",
        signs="nothing: the webhook's token comes in the body, as `secure_token`",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        guide=Guide(
            setup=(
                "*Settings → Configuration Options → API → Webhooks*: **Add New Version**: "
                "`https://relay.example.com/hooks/NAME?event=replaced`; **Update Metadata**: `…?event=updated`; the "
                "one for deletions: `…?event=deleted`.",
                "The **secure token** of each is one of `secrets`.",
                'The event has an id and no URL: map ids with `lookup("table.csv")` in a rule, or have the asset '
                "found with `resolve:` (`url.directUrlPreview` and its like in Canto's API).",
            ),
            events="What happened is what `?event=` in the webhook's URL names (`created`, `updated`, `replaced`, "
            "`deleted`, `unpublished`…), `updated` without it. Albums need no webhook. Assets whose `scheme` is not "
            "`image` are ignored.",
            covered="Nothing is signed: whoever holds the token is believed. The token is blotted out before anything "
            "is stored. No delivery has an id or a time, so each one counts.",
            retries="Canto does not look at the answer, as far as others found out. Time-out and retries are unknown; "
            "it cannot switch itself off for what it does not look at.",
            urls="None in the payload: `scheme` and `id` together name the asset (`image/…` in rules). Use a table, "
            "`resolve:`, or what was remembered.",
        ),
    )

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Authentic:
        authentic = super().verify(request, now, key)
        kind = kind_of_url(request.path)
        return authentic if kind is None else replace(authentic, scheme=f"{authentic.scheme} {kind.value}")

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload, request.scheme.partition(" ")[2])
        event_id = delivery_id(request, payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        asset_id = sha256(iso(now).encode()).hexdigest()[:26]
        asset = {"album": "N29BC", "displayname": "hero.jpg", "id": asset_id, "scheme": "image"}
        return {"asset": json_sample(asset)}


def _asset_event(payload: dict[str, Any], kind: str) -> AssetEvent | Ignored:
    """The asset's id is unique within its scheme."""
    scheme, asset_id = (json_body.text(payload, key) for key in ("scheme", "id"))
    if scheme is None or asset_id is None:
        raise Unreadable("the body has no scheme or no id")
    if scheme != "image":
        return Ignored(f"about an asset of the scheme {scheme}, not an image")
    return AssetEvent(
        kind=AssetKind(kind) if kind else AssetKind.UPDATED,
        id=f"{scheme}/{asset_id}",
        filename=json_body.text(payload, "displayname"),
    )
