"""Umbraco: which event it is, and the files of media items and content."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import make, problem, read, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import Ignored, Notification

FILE = "/media/oxfb3r3p/hero.jpg"
URL = f"https://cms.example.com{FILE}"
ITEM = {"id": "i1", "name": "hero.jpg", "properties": {"umbracoFile": {"src": FILE}, "text": "see /media/ for more"}}


def notification(event: str | None, document: Any, **settings: Any) -> Notification:
    headers = {} if event is None else {"umb-webhook-event": event}
    return make("umbraco", **settings).read(verified(json.dumps(document).encode(), headers))


def test_a_sample() -> None:
    (found,) = read(make("umbraco"), signed(make("umbraco"))).events
    assert (found.kind.value, found.urls, found.filename, found.occurred_at) == ("updated", (URL,), "hero.jpg", None)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("Umbraco.MediaSave", "updated"),
        ("Umbraco.MediaSaved", "updated"),
        ("Umbraco.MediaDelete", "deleted"),
        ("Umbraco.ContentPublish", "updated"),
        ("Umbraco.ContentPublished", "updated"),
        ("Umbraco.ContentUnpublish", "unpublished"),
        ("Umbraco.ContentDelete", "deleted"),
    ],
)
def test_events(event: str, kind: str) -> None:
    (found,) = notification(event, ITEM).events
    assert (found.kind.value, found.id, found.urls) == (kind, "i1", (URL,))


@pytest.mark.parametrize(
    ("document", "item_id", "urls"),
    [
        ({"Id": "i1", "Url": FILE}, "i1", (URL,)),
        ({"Key": "k1", "src": "https://cdn.example.com/a.png"}, "k1", ("https://cdn.example.com/a.png",)),
        ({"id": 1077, "crops": [FILE, FILE]}, "1077", (URL,)),
        ({"id": "i1"}, "i1", ()),
    ],
)
def test_payloads_of_several_versions(document: Any, item_id: str, urls: tuple[str, ...]) -> None:
    (found,) = notification("Umbraco.MediaSave", document).events
    assert (found.id, found.urls) == (item_id, urls)


def test_without_a_base_paths_stay_as_they_are() -> None:
    (found,) = notification("Umbraco.MediaSave", ITEM, bases={}).events
    assert found.urls == (FILE,)
    assert problem("umbraco", bases={"images": "/"})[0] == "bases"


def test_a_delivery_is_known_by_its_time_and_body() -> None:
    assert notification("Umbraco.MediaSave", ITEM | {"updateDate": "2026-11-24T12:02:38.9979314"}).event_id is None
    assert notification("Umbraco.MediaDelete", {"id": "i1"}).event_id is not None


@pytest.mark.parametrize(
    ("event", "document", "why"),
    [
        ("Umbraco.UserSaved", ITEM, "Umbraco.UserSaved is not about media or content"),
        ("Umbraco.ContentPublish", {"id": "c1", "name": "About us"}, "the content shows no image"),
    ],
)
def test_what_is_not_about_an_image(event: str, document: Any, why: str) -> None:
    found = notification(event, document)
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize(
    ("event", "document"), [(None, ITEM), ("", ITEM), ("Umbraco.MediaSave", {}), ("Umbraco.MediaDelete", [])]
)
def test_without_a_name_or_an_id_it_is_unreadable(event: str | None, document: Any) -> None:
    with pytest.raises(Unreadable):
        notification(event, document)
