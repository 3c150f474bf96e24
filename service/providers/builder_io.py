"""Builder.io: no signature; content with the images it shows and those it showed before."""

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
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.image_links import image_urls
from service.providers.plain_provider import delivery_id, json_sample

_IMAGES = ("https://cdn.builder.io/api/v1/image/",)  # URLs below it have no extension

# https://www.builder.io/c/docs/webhooks
_KINDS = {
    "publish": AssetKind.UPDATED,
    "scheduledStart": AssetKind.UPDATED,
    "unpublish": AssetKind.UNPUBLISHED,
    "archive": AssetKind.UNPUBLISHED,
    "scheduledEnd": AssetKind.UNPUBLISHED,
    "delete": AssetKind.DELETED,
}


class BuilderIo(CredentialOnly):
    """https://www.builder.io/c/docs/webhooks"""

    info = Info(
        name="builder-io",
        title="Builder.io",
        doc_url="https://www.builder.io/c/docs/webhooks",
        signs="nothing: a secret header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        guide=Guide(
            setup=(
                "For the whole space: *Space settings → Space → Webhooks → Edit → + Webhook*; or for one model: "
                "*Models → the model → Advanced → Webhooks → Edit*.",
                "URL `https://relay.example.com/hooks/NAME`, and a header `Authorization` with `Bearer ` and one of "
                "`secrets`.",
                "Leave **Disable Payload** (under *Show Advanced*) off: without it nothing is told of images.",
            ),
            events="Builder.io tells of all there is. A first publication becomes `created`; a later one `replaced` "
            "where the images differ from those before, else `updated`. `archive`, `unpublish` and the end of a "
            "schedule become `unpublished`, `delete` becomes `deleted`. The asset library has no events.",
            covered="Nothing is signed: whoever holds the credential is believed. Neither a time nor an id of the "
            "event is documented, so every delivery counts.",
            retries="Unknown: neither the time-out nor what counts as delivered, retries or switching off are "
            "documented.",
            urls="In the payload: images anywhere in `newValue`, and those that only `previousValue` had. Sites add a "
            "query (`?width=800`): a rule with `{{ url | with_query(…) }}` names those.",
        ),
    )

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event_id = delivery_id(request, payload)
        found = _asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        new, old = (_sample_content(f"{name} {iso(now)}") for name in ("new", "old"))
        return {
            "publish": _sample("publish", new, old),
            "unpublish": _sample("unpublish", new | {"published": "draft"}, new),
            "delete": _sample("delete", None, new),
        }


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    """One piece of content with all its images."""
    current, previous = (json_body.obj(payload, name) for name in ("newValue", "previousValue"))
    if not current and not previous:
        return Ignored("it says nothing of the content: is the webhook's payload disabled?")
    identity = json_body.scalar(current, "id") or json_body.scalar(previous, "id")
    if identity is None:
        raise Unreadable("the content has no id")
    urls, before = image_urls(current, _IMAGES), image_urls(previous, _IMAGES)
    kind = _kind(json_body.text(payload, "operation") or "", current, previous)
    if kind is AssetKind.UPDATED and set(urls) != set(before):
        kind = AssetKind.REPLACED
    if not urls and not before and not kind.gone:
        return Ignored("the content shows no image, and did not before")
    return AssetEvent(kind=kind, id=identity, urls=urls, earlier_urls=tuple(url for url in before if url not in urls))


def _kind(operation: str, current: dict[str, Any], previous: dict[str, Any]) -> AssetKind:
    """Without a new value the content is gone, without a previous one it is new, whatever the operation."""
    kind = _KINDS.get(operation, AssetKind.UNKNOWN)
    if not current:
        return kind if kind.gone else AssetKind.DELETED
    return AssetKind.CREATED if kind is AssetKind.UPDATED and not previous else kind


def _sample_content(seed: str) -> dict[str, Any]:
    image = f"{_IMAGES[0]}assets%2F0123456789abcdef%2F{sha256(seed.encode()).hexdigest()[:32]}"
    return {
        "id": "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "published": "published",
        "name": "My great page",
        "data": {"url": "/great", "blocks": [{"component": {"name": "Image", "options": {"image": image}}}]},
    }


def _sample(operation: str, current: dict[str, Any] | None, previous: dict[str, Any] | None) -> Sample:
    return json_sample({"newValue": current, "previousValue": previous, "modelName": "page", "operation": operation})
