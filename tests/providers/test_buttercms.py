"""ButterCMS: files that change under their URL, and content that is known by its id."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import make, read, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification

URL = "https://cdn.buttercms.com/3JqNbtQ5R0m3JpWFAvbW"


def notification(event: Any, data: Any) -> Notification:
    body = {"data": data, "webhook": {"event": event, "target": "https://relay.example.com/"}}
    return make("buttercms").read(verified(json.dumps(body).encode()))


def event(name: str, data: Any) -> AssetEvent:
    (found,) = notification(name, data).events
    return found


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("media.updated", {"media_id": 7, "cdn_url": URL}, (AssetKind.REPLACED, "media/7", (URL,))),
        ("media.updated", {"id": "hero", "cdn_url": URL, "url": URL}, (AssetKind.REPLACED, "media/hero", (URL,))),
        ("media.updated", {"cdn_url": URL}, (AssetKind.REPLACED, f"media/{URL}", (URL,))),
        ("media.invented", {"cdn_url": URL}, (AssetKind.UNKNOWN, f"media/{URL}", (URL,))),
        ("media.published", {"cdn_url": URL}, (AssetKind.UNKNOWN, f"media/{URL}", (URL,))),
        ("page.published", {"id": "launch"}, (AssetKind.UPDATED, "page/launch", ())),
        ("page.unpublished", {"id": "launch"}, (AssetKind.UNPUBLISHED, "page/launch", ())),
        ("post.delete", {"id": "launch", "_id": 5}, (AssetKind.DELETED, "post/launch", ())),
        ("collectionitem.published", {"id": 3, "photo": URL}, (AssetKind.UPDATED, "collectionitem/3", (URL,))),
        ("page.updated", {"id": "launch"}, (AssetKind.UNKNOWN, "page/launch", ())),
    ],
)
def test_events(name: str, data: Any, expected: tuple[AssetKind, str, tuple[str, ...]]) -> None:
    found = event(name, data)
    assert (found.kind, found.id, found.urls) == expected


def test_what_else_is_told() -> None:
    found = event("media.updated", {"cdn_url": URL, "filename": "hero.jpg", "timestamp": "2024-01-15T14:30:00"})
    assert (found.filename, found.locale) == ("hero.jpg", None)
    assert found.occurred_at == datetime(2024, 1, 15, 14, 30, tzinfo=UTC)
    dated = {"id": "launch", "locale": "de", "updated": "2024-01-15T14:31:00Z", "timestamp": "2024-01-15T14:30:00"}
    assert event("page.published", dated).locale == "de"
    assert event("page.published", dated).occurred_at == datetime(2024, 1, 15, 14, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("page.draft", "page.draft changes nothing that is public"),
        ("media.videouploaded", "media.videouploaded is about a video, not an image"),
    ],
)
def test_what_is_not_about_a_public_image(name: str, why: str) -> None:
    found = notification(name, {"id": "x", "url": "https://cdn.buttercms.com/video/promo.mp4"})
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize(("name", "data"), [(None, {"id": 1}), ("", {"id": 1}), ("media.updated", {}), ("page.x", [1])])
def test_bodies_that_name_nothing(name: Any, data: Any) -> None:
    with pytest.raises(Unreadable):
        notification(name, data)


def test_every_delivery_counts() -> None:
    provider = make("buttercms")
    assert read(provider, signed(provider)).event_id is not None
