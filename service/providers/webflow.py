"""Webflow: HMAC-SHA256 over time and body; collection items and the images in their fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, refuse_stale
from service.providers.image_links import image_urls
from service.providers.plain_provider import json_sample
from service.providers.signatures import from_hex, hmac_sha256, matches_any, unix_time

_SIGNATURE = "x-webflow-signature"
_TIMESTAMP = "x-webflow-timestamp"

# There is no event of the asset library, so the images are those of the items that use them:
# https://developers.webflow.com/data/reference/webhooks/events/collection-item-changed
_KINDS = {
    "collection_item_created": AssetKind.CREATED,
    "collection_item_changed": AssetKind.UPDATED,
    "collection_item_published": AssetKind.UPDATED,
    "collection_item_unpublished": AssetKind.UNPUBLISHED,
    "collection_item_deleted": AssetKind.DELETED,
}


class Webflow(Provider):
    """Each webhook has a secret of its own: `secrets` takes them all.

    https://developers.webflow.com/data/docs/working-with-webhooks
    """

    info = Info(
        name="webflow",
        title="Webflow",
        doc_url="https://developers.webflow.com/data/docs/working-with-webhooks",
        signs="HMAC-SHA256 over time and body",
        tolerance=300,  # as Webflow's documentation advises
        stored_headers=frozenset({_SIGNATURE, _TIMESTAMP, "content-type"}),
        guide=Guide(
            setup=(
                "*Site settings → Apps & integrations → Webhooks → Add webhook*, or the API: URL "
                "`https://relay.example.com/hooks/NAME`, one webhook for each event.",
                "Events: **Collection item created, changed, published, unpublished, deleted**.",
                "Each webhook has a secret of its own: `secrets` takes them all. Older webhooks may be unsigned, "
                "which is not accepted.",
            ),
            events="`…changed` and `…published` become `updated`, and `replaced` once an item's images differ from "
            "those remembered; `created`, `unpublished` and `deleted` are what they say. There is no event of the "
            "asset library.",
            covered="The body and the time. There is no id of the event.",
            retries="At most three attempts in all. Time-out, what counts as delivered, and whether a webhook is "
            "switched off, is unknown.",
            urls="In the payload: the images in an item's `fieldData`. An item that is gone has its remembered ones.",
        ),
    )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = from_hex(request.required(_SIGNATURE), lengths=[32])
        timestamp = request.required(_TIMESTAMP)
        signed_at = unix_time(timestamp, "ms")
        if not matches_any([given], self._signatures(timestamp, request.body)):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic("webflow-v1", signed_at)

    def _signatures(self, timestamp: str, body: bytes) -> list[bytes]:
        return [hmac_sha256(secret.encode(), f"{timestamp}:".encode() + body) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        timestamp = str(to_ms(now))
        signature = self._signatures(timestamp, sample.body)[0].hex()
        return Sample(sample.body, {**sample.headers, _TIMESTAMP: timestamp, _SIGNATURE: signature})

    def read(self, request: Verified) -> Notification:
        document = json_body.parse_object(request.body)
        trigger = json_body.text(document, "triggerType")
        if trigger is None:
            raise Unreadable("the body names no triggerType")
        kind = _KINDS.get(trigger)
        if kind is None:
            return Notification(payload=document, instead=Ignored(f"{trigger} is not about a collection item"))
        events = tuple(_asset_events(kind, json_body.obj(document, "payload")))
        instead = None if events else Ignored("no item of these links to an image")
        return Notification(payload=document, events=events, instead=instead)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {name: _sample(f"collection_item_{name}", now) for name in ("changed", "published", "deleted")}


def _asset_events(kind: AssetKind, payload: dict[str, Any]) -> Iterator[AssetEvent]:
    """Items that are published together come in one list, any other one stands alone.

    What is gone needs no images here: the memory has those of its id.
    """
    for item in json_body.array(payload, "items") or [payload]:
        identity = json_body.first_text(item, "id", "_id")
        if identity is None:
            raise Unreadable("a collection item has no id")
        urls = image_urls(json_body.obj(item, "fieldData"))
        if urls or kind.gone:
            yield AssetEvent(
                kind=kind,
                id=identity,
                urls=urls,
                locale=json_body.text(item, "cmsLocaleId"),
                occurred_at=json_body.moment(item, "lastUpdated"),
            )


def _sample(trigger: str, now: datetime) -> Sample:
    item: dict[str, Any] = {
        "id": "65a5d3c8f7e2b40012345678",
        "siteId": "65a5d3c8f7e2b40000000001",
        "collectionId": "65a5d3c8f7e2b40000000002",
        "lastUpdated": iso(now),
    }
    file_id = sha256(iso(now).encode()).hexdigest()[:24]
    url = f"https://cdn.prod.website-files.com/65a5d3c8f7e2b40000000001/{file_id}_hero.jpg"
    fields = {"fieldData": {"name": "Hero", "slug": "hero", "picture": {"fileId": file_id, "url": url, "alt": None}}}
    match trigger:
        case "collection_item_deleted":
            payload = item
        case "collection_item_published":
            payload = {"items": [item | fields]}
        case _:
            payload = item | fields
    return json_sample({"triggerType": trigger, "payload": payload})
