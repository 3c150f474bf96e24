"""TinaCloud: paths of a repository, of which some are images that a folder's base makes URLs of."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import make, problem, read, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification

HERO, POST = "public/uploads/hero.jpg", "content/posts/hello"


def notification(paths: Any, event_type: Any = "content.modified", bases: Any = None, **fields: Any) -> Notification:
    body = {"clientId": "276", "branch": "main", "paths": paths, "type": event_type, "eventId": "e1", **fields}
    provider = make("tinacloud", bases={"public": "/"} if bases is None else bases)
    return provider.read(verified(json.dumps(body).encode()))


def events(paths: Any, event_type: str = "content.modified", bases: Any = None) -> tuple[AssetEvent, ...]:
    return notification(paths, event_type, bases).events


@pytest.mark.parametrize(
    ("event_type", "kinds"),
    [
        ("content.added", (AssetKind.CREATED, AssetKind.CREATED)),
        ("content.modified", (AssetKind.REPLACED, AssetKind.UPDATED)),
        ("content.removed", (AssetKind.DELETED, AssetKind.DELETED)),
        ("content.invented", (AssetKind.UNKNOWN, AssetKind.UNKNOWN)),
    ],
)
def test_every_path_is_an_event_of_its_own(event_type: str, kinds: tuple[AssetKind, AssetKind]) -> None:
    image, document = events([HERO, POST], event_type)
    assert (image.kind, document.kind) == kinds
    assert (image.id, image.key, image.filename, image.urls) == (HERO, HERO, "hero.jpg", ("/uploads/hero.jpg",))
    assert (document.id, document.key, document.filename, document.urls) == (POST, POST, None, ())
    assert {image.environment, document.environment} == {"main"}


@pytest.mark.parametrize(
    ("bases", "path", "urls"),
    [
        ({"public": "https://www.example.com"}, HERO, ("https://www.example.com/uploads/hero.jpg",)),
        ({"/public/": "/"}, HERO, ("/uploads/hero.jpg",)),
        ({"public": "/", "public/uploads": "/media"}, HERO, ("/media/hero.jpg",)),
        ({"public/uploads": "/media", "public": "/"}, "public/logo.PNG", ("/logo.PNG",)),
        ({"pub": "/"}, HERO, ()),
        ({"public": "/"}, "hero.jpg", ()),
        ({"public": "/"}, "public/a b.jpg", ("/a%20b.jpg",)),
        ({}, HERO, ()),
    ],
)
def test_urls(bases: dict[str, str], path: str, urls: tuple[str, ...]) -> None:
    (found,) = events([path], bases=bases)
    assert found.urls == urls


def test_a_delivery_is_known_by_its_id() -> None:
    assert notification([HERO]).event_id == notification([POST]).event_id == "e1"
    assert notification([HERO], eventId=None).event_id not in (None, "e1")


def test_paths_count_once() -> None:
    assert [found.id for found in events([HERO, "", None, 7, [POST], HERO])] == [HERO]


@pytest.mark.parametrize("paths", [[], None, HERO, {"0": HERO}])
def test_without_paths_nothing_happened(paths: Any) -> None:
    found = notification(paths)
    assert (found.instead, found.events) == (Ignored("content.modified names no path"), ())


def test_a_body_without_a_type_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the body has no type"):
        notification([HERO], None)


def test_a_base_that_is_no_url() -> None:
    assert problem("tinacloud", bases={"public": "www.example.com"})[0] == "bases"


def test_the_sample_is_of_an_image_and_of_a_page() -> None:
    provider = make("tinacloud")
    image, page = read(provider, signed(provider)).events
    assert (image.kind, page.kind) == (AssetKind.REPLACED, AssetKind.UPDATED)
