"""Craft CMS: what its Webhooks plugin says of assets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import NOW, make, problem, read, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, Ignored, Notification

URL = "https://www.example.com/uploads/hero.jpg"
ELEMENT = "craft\\elements\\Asset"
ASSET = {"id": 42, "url": URL, "filename": "hero.jpg", "kind": "image"}


def notification(document: Any, **settings: Any) -> Notification:
    return make("craft", **settings).read(verified(json.dumps(document).encode()))


def event(document: Any, **settings: Any) -> AssetEvent:
    (found,) = notification(document, **settings).events
    return found


def test_a_sample() -> None:
    (found,) = read(make("craft"), signed(make("craft"))).events
    assert (found.kind.value, found.urls, found.occurred_at) == ("replaced", (URL,), NOW)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("afterSave", "updated"),
        ("afterReplaceAsset", "replaced"),
        ("afterDelete", "deleted"),
        ("afterRestore", "restored"),
        ("beforeSave", "unknown"),
        (None, "unknown"),
    ],
)
def test_events(name: str | None, kind: str) -> None:
    found = event({"name": name, "senderClass": ELEMENT, "sender": ASSET})
    assert (found.kind.value, found.id, found.urls, found.filename) == (kind, "42", (URL,), "hero.jpg")


@pytest.mark.parametrize(
    ("name", "fields", "kind"),
    [
        ("afterSave", {"isNew": True}, "created"),
        ("afterSave", {"event": {"isNew": True}}, "created"),
        ("afterSave", {"isNew": "no"}, "updated"),
        ("afterDelete", {"isNew": True}, "deleted"),
    ],
)
def test_a_new_asset(name: str, fields: dict[str, Any], kind: str) -> None:
    assert event({"name": name, "sender": ASSET} | fields).kind.value == kind


def test_the_service_s_event_names_the_asset() -> None:
    document = {"senderClass": "craft\\services\\Assets", "sender": {}, "event": {"asset": {"uid": "u1", "url": URL}}}
    found = event(document | {"name": "afterReplaceAsset"})
    assert (found.kind.value, found.id, found.urls) == ("replaced", "u1", (URL,))


@pytest.mark.parametrize(
    ("url", "bases", "expected"),
    [
        ("/uploads/hero.jpg", {"site": "https://www.example.com/"}, (URL,)),
        ("/uploads/hero.jpg", {}, ("/uploads/hero.jpg",)),
        ("//www.example.com/uploads/hero.jpg", {}, (URL,)),
        (None, {}, ()),
    ],
)
def test_urls(url: str | None, bases: dict[str, str], expected: tuple[str, ...]) -> None:
    assert event({"name": "afterSave", "sender": ASSET | {"url": url}}, bases=bases).urls == expected


def test_a_base_that_is_none() -> None:
    assert problem("craft", bases={"site": "www.example.com"})[0] == "bases"
    assert problem("craft", bases={"images": "/"}) == ("bases", "craft has no 'images': the one base is `site`")


def test_a_delivery_is_known_by_its_time_and_body() -> None:
    document = {"name": "afterSave", "sender": ASSET}
    assert notification(document | {"time": "2026-11-24T11:00:00+00:00"}).event_id is None
    assert notification(document).event_id is not None


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"senderClass": "craft\\elements\\Entry"}, "craft\\elements\\Entry is not about an asset"),
        ({"sender": ASSET | {"kind": "video"}}, "about a file of type video, not an image"),
        ({"sender": {"id": 1, "mimeType": "video/mp4"}}, "about a file of type video/mp4, not an image"),
    ],
)
def test_what_is_not_about_an_image(document: Any, why: str) -> None:
    found = notification(document)
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize("document", [{}, {"sender": 1}, {"sender": {"id": True}}])
def test_an_asset_without_an_id_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        notification(document)
