"""Payloads of a sender's own making: what most of them have in common."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from service.domain.events import AssetEvent, AssetKind
from service.providers import json_body

_KINDS = {
    "created": AssetKind.CREATED,
    "uploaded": AssetKind.UPDATED,
    "updated": AssetKind.UPDATED,
    "published": AssetKind.UPDATED,
    "replaced": AssetKind.REPLACED,
    "renamed": AssetKind.RENAMED,
    "deleted": AssetKind.DELETED,
    "unpublished": AssetKind.UNPUBLISHED,
    "restored": AssetKind.RESTORED,
}
_IDS = ("id", "asset_id", "media_id")  # the last is Bynder's
_PRESENT = ("url", "urls")
_EARLIER = ("old_url", "old_urls", "previous_url", "previous_urls")


def plain_event(payload: Any, event_type: str, fallback_id: str) -> AssetEvent:
    """The asset a payload, or its `data`, describes; rules see the whole payload.

    `event_type` is a dotted name such as `asset.updated`, of which the last part tells the kind.
    """
    data = json_body.obj(payload, "data") or json_body.obj(payload)
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    urls = [url for key in _PRESENT if key in data for url in _urls(data[key])]
    earlier = [url for key in _EARLIER if key in data for url in _urls(data[key])]
    identity = None
    for key in _IDS:
        if key in data and (identity := json_body.scalar(data, key)):
            break
    if identity is None and urls:
        identity = sha256("\n".join(urls).encode()).hexdigest()[:32]
    return AssetEvent(
        kind=_KINDS.get(event_type.rpartition(".")[2], AssetKind.UNKNOWN),
        id=identity or fallback_id,
        urls=tuple(dict.fromkeys(urls)),
        earlier_urls=tuple([url for url in dict.fromkeys(earlier) if url not in urls]),
        bucket=texts.get("bucket"),
        key=texts.get("key"),
        filename=texts.get("filename") or texts.get("file_name") or texts.get("fileName"),
        mime_type=(
            texts.get("mime_type") or texts.get("mimeType") or texts.get("content_type") or texts.get("contentType")
        ),
        environment=texts.get("environment"),
        locale=texts.get("locale"),
        occurred_at=json_body.moment(payload, "timestamp"),
        content_hash=(
            texts.get("content_hash") or texts.get("etag") or texts.get("hash") or json_body.scalar(data, "version")
        ),
    )


def _urls(value: Any) -> list[str]:
    """One string, or an array of strings or of objects with a `url`."""
    given = value if isinstance(value, list) else [value]
    return [url for one in given if (url := one if isinstance(one, str) else json_body.text(one, "url"))]
