"""Amplience Dynamic Content: HMAC-SHA256 over the body; content items with the images they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import BodySignature
from service.providers.delivery_urls import at_host, delivery_host
from service.providers.image_links import image_urls
from service.providers.plain_provider import json_sample
from service.settings.model import Source

_SIGNATURE = "x-amplience-webhook-signature"
_ITEM = "dynamic-content.content-item."
_KINDS = {"created": AssetKind.CREATED, "deleted": AssetKind.DELETED, "unpublished": AssetKind.UNPUBLISHED}


class Amplience(BodySignature):
    """https://amplience.com/developers/docs/integrations/webhooks"""

    signature_header = _SIGNATURE
    info = Info(
        name="amplience",
        title="Amplience Dynamic Content",
        doc_url="https://amplience.com/developers/docs/integrations/webhooks",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, "content-type"}),
        options=("cdn_host",),
        guide=Guide(
            setup=(
                "In Dynamic Content create a webhook: URL `https://relay.example.com/hooks/NAME`, method **POST**, the "
                "events below, and the payload as it is, without a template of your own.",
                "`secrets`: the webhook's secret. `cdn_host`: the host your site loads images from, where that is not "
                "the one that the items name.",
            ),
            events="Content item created, updated, published (→ `updated`), unpublished, deleted. Editions and "
            "snapshots are ignored. Whether Content Hub, where the files are kept, tells of a replaced file is "
            "unknown: what is told is that an item changed which shows it.",
            covered="The whole body; no header and no time. A repeated delivery is known by its id in the body.",
            retries="Time-out, success codes, retries and switching off are unknown.",
            urls="Computed from each image in the item: `https://HOST/i/ACCOUNT/NAME` of its `defaultHost`, `endpoint` "
            "and `name`; and every image URL that stands in the item as it is.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._host = delivery_host(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = self._asset_event(payload)
        event_id = json_body.first_text(payload, "id", "requestId")
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    def _asset_event(self, payload: dict[str, Any]) -> AssetEvent | Ignored:
        event_name = json_body.text(payload, "name") or ""
        action = event_name.removeprefix(_ITEM)
        if action == event_name:
            return Ignored(f"{event_name} is not about a content item")
        item = json_body.obj(payload, "payload")
        item_id = json_body.text(item, "id")
        if item_id is None:
            raise Unreadable("the content item has no payload.id")
        kind = _KINDS.get(action, AssetKind.UPDATED)
        urls = tuple(dict.fromkeys((*self._computed(item), *image_urls(item))))
        if not urls and not kind.gone:
            return Ignored("the content item shows no image")
        return AssetEvent(kind=kind, id=item_id, urls=urls)

    def _computed(self, value: Any) -> Iterator[str]:
        """The URL of every image in a content item:
        https://amplience.com/developers/docs/apis/content-delivery/working-with-content"""
        if isinstance(value, dict):
            host, account, name = (json_body.text(value, key) for key in ("defaultHost", "endpoint", "name"))
            if host and account and name:
                yield at_host(f"https://{host}/i/{quote(account)}/{quote(name)}", self._host)
        if isinstance(value, (dict, list)):
            for child in value.values() if isinstance(value, dict) else value:
                yield from self._computed(child)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {action: _sample(action, now) for action in ("updated", "unpublished", "deleted")}


def _sample(action: str, now: datetime) -> Sample:
    image = {
        "id": "0a5cfbe1-1f6c-4e1f-9a38-f0c2b7e2a3d4",
        "name": "hero",
        "endpoint": "acme",
        "defaultHost": "cdn.media.amplience.net",
    }
    return json_sample(
        {
            "sequenceId": 1,
            "id": str(UUID(int=to_ms(now) << 64 | 0x4000_8000_0000_0000_0001)),
            "name": _ITEM + action,
            "requestId": "0f1e2d3c",
            "payload": {"id": "a87fd535-fb25-44ee-b687-0db72bbab721", "body": {"image": image}},
        }
    )
