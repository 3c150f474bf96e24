"""Payloads of a sender's own making: what most of them have in common."""

from __future__ import annotations

from collections.abc import Iterable
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
_TEXTS = {
    "bucket": ("bucket",),
    "key": ("key",),
    "filename": ("filename", "file_name", "fileName"),
    "mime_type": ("mime_type", "mimeType", "content_type", "contentType"),
    "environment": ("environment",),
    "locale": ("locale",),
    "content_hash": ("content_hash", "etag", "hash"),
}
"""What an event holds as it stands there, and under which names: the first that is a text counts."""

_NAMES = frozenset(name for names in _TEXTS.values() for name in names)
_IDS = ("id", "asset_id", "media_id")  # the last is Bynder's
_PRESENT = ("url", "urls")
_EARLIER = ("old_url", "old_urls", "previous_url", "previous_urls")


def plain_event(payload: Any, event_type: str, fallback_id: str) -> AssetEvent:
    """The asset a payload, or its `data`, describes; rules see the whole payload.

    `event_type` is a dotted name such as `asset.updated`, of which the last part tells the kind.
    """
    data = json_body.obj(payload, "data") or json_body.obj(payload)
    urls = _urls_at(data, _PRESENT)
    earlier = _urls_at(data, _EARLIER)
    identity = None
    for key in _IDS:
        if key in data and (identity := json_body.scalar(data, key)):
            break
    if identity is None and urls:
        identity = sha256("\n".join(urls).encode()).hexdigest()[:32]
    return AssetEvent(
        kind=_KINDS.get(event_type.rpartition(".")[2], AssetKind.UNKNOWN),
        id=identity or fallback_id,
        urls=tuple(urls),
        earlier_urls=tuple([url for url in earlier if url not in urls]),
        occurred_at=json_body.moment(payload, "timestamp"),
        **_texts(data),
    )


def _texts(data: dict[str, Any]) -> dict[str, str]:
    """The fields of an event that are texts, those there are."""
    found: dict[str, str] = {}
    if not _NAMES.isdisjoint(data):
        for field, names in _TEXTS.items():
            if (told := json_body.first_text(data, *names)) is not None:
                found[field] = told
    if "content_hash" not in found and (version := json_body.scalar(data, "version")) is not None:
        found["content_hash"] = version
    return found


def _urls_at(data: dict[str, Any], keys: Iterable[str]) -> list[str]:
    """What stands there: one string, or an array of strings or of objects with a `url`. Each URL once."""
    found: dict[str, None] = {}
    for key in keys:
        if key not in data:
            continue
        value = data[key]
        if isinstance(value, str):
            found[value] = None
        else:
            for one in value if isinstance(value, list) else (value,):
                found[one if isinstance(one, str) else json_body.text(one, "url") or ""] = None
    found.pop("", None)
    return list(found)
