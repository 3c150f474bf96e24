"""What Contentstack's webhooks say of assets, and of releases of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.providers import json_body
from service.providers.base import Sample

# https://www.contentstack.com/docs/headless-cms/webhook-data-format
_KINDS = {
    "create": AssetKind.CREATED,
    "update": AssetKind.UPDATED,
    "publish": AssetKind.UPDATED,
    "unpublish": AssetKind.UNPUBLISHED,
    "delete": AssetKind.DELETED,
}
_UNDONE = ("start", "fail")  # `publish.start`, `unpublish.fail` and the like change nothing
_ASSET_TYPE = "built_io_upload"  # the content type of a release's items that are assets


def read_events(payload: dict[str, Any], signed_at: datetime | None) -> Iterator[AssetEvent | Ignored]:
    """The events of a webhook, with the reason why there is none at the end."""
    module, event_name = (json_body.text(payload, key) or "" for key in ("module", "event"))
    occurred_at = json_body.moment(payload, "triggered_at") or signed_at
    action, _, outcome = event_name.partition(".")
    if module == "release":
        yield from _release_events(json_body.obj(payload, "data"), occurred_at)
        yield Ignored(f"release {event_name} has no asset among its items")
    elif module != "asset":
        yield Ignored(f"about the module {module}, not asset")
    elif outcome in _UNDONE:
        yield Ignored(f"{event_name} changes nothing")
    else:
        yield _asset_event(_KINDS.get(action, AssetKind.UNKNOWN), payload, occurred_at)


def _asset_event(kind: AssetKind, payload: dict[str, Any], occurred_at: datetime | None) -> AssetEvent | Ignored:
    """Only publishing names an environment: with it in the event, a deletion would not find what was remembered."""
    asset = json_body.obj(payload, "data", "asset")
    asset_id = json_body.text(asset, "uid")
    if asset_id is None:
        raise Unreadable("the asset has no data.asset.uid")
    if asset.get("is_dir") is True:
        return Ignored("about a folder")
    url = json_body.text(asset, "url")
    return AssetEvent(
        kind=kind,
        id=asset_id,
        urls=(url,) if url is not None and json_body.is_url(url) else (),
        filename=json_body.text(asset, "filename"),
        mime_type=json_body.text(asset, "content_type"),
        locale=json_body.text(payload, "data", "locale"),
        occurred_at=occurred_at,
    )


def _release_events(data: dict[str, Any], occurred_at: datetime | None) -> Iterator[AssetEvent]:
    """A release tells of its assets by id alone."""
    for item in json_body.array(data, "release", "items") or json_body.array(data, "items"):
        asset_id = json_body.text(item, "uid")
        if json_body.text(item, "content_type_uid") == _ASSET_TYPE and asset_id is not None:
            kind = _KINDS.get(json_body.text(item, "action") or "", AssetKind.UPDATED)
            locale = json_body.text(item, "locale")
            yield AssetEvent(kind=kind, id=asset_id, locale=locale, occurred_at=occurred_at)


def sample_event(event_name: str, now: datetime) -> Sample:
    """A sample: what a stack sends of an image."""
    stack, asset, file = "blt0000000000000022", "blt0000000000000011", sha256(iso(now).encode()).hexdigest()[:24]
    body = {
        "triggered_at": iso(now),
        "module": "asset",
        "api_key": stack,
        "event": event_name,
        "data": {
            "asset": {
                "uid": asset,
                "filename": "hero.jpg",
                "content_type": "image/jpeg",
                "url": f"https://images.contentstack.io/v3/assets/{stack}/{asset}/{file}/hero.jpg",
                "is_dir": False,
                "_version": 2,
            },
            "locale": "en-us",
        },
    }
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
