"""Directus: whatever a Flow makes of its trigger, read as events of files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import make, problem, read, signed, source, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.providers.directus import Directus

KEY, OTHER = "3f8e2a54-7c1d-4b60-9a2f-d5e6c7b8a901", "AB8E2A54-7C1D-4B60-9A2F-D5E6C7B8A902"
FILE = {"storage": "local", "filename_download": "hero.jpg", "type": "image/jpeg"}


def notification(event: str, bases: dict[str, str] | None = None, **body: Any) -> Notification:
    provider = make("directus", bases={"site": "https://cms.example.com"} if bases is None else bases)
    return provider.read(verified(json.dumps({"event": event, **body}).encode()))


def events(event: str, bases: dict[str, str] | None = None, **body: Any) -> tuple[AssetEvent, ...]:
    return notification(event, bases, **body).events


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("files.upload", AssetKind.UPDATED),
        ("files.update", AssetKind.UPDATED),
        ("files.delete", AssetKind.DELETED),
        ("files.invented", AssetKind.UNKNOWN),
    ],
)
def test_kinds(event: str, kind: AssetKind) -> None:
    (found,) = events(event, key=KEY, payload=FILE)
    assert (found.kind, found.id, found.urls) == (kind, KEY, (f"https://cms.example.com/assets/{KEY}",))
    assert (found.filename, found.mime_type) == ("hero.jpg", "image/jpeg")


@pytest.mark.parametrize(
    ("bases", "url"),
    [
        ({"site": "https://cms.example.com/admin/"}, f"https://cms.example.com/admin/assets/{KEY}"),
        ({"site": "/cms"}, f"/cms/assets/{KEY}"),
        ({"site": "/"}, f"/assets/{KEY}"),
        ({}, None),
    ],
)
def test_urls(bases: dict[str, str], url: str | None) -> None:
    (found,) = events("files.upload", bases, key=KEY)
    assert found.urls == (() if url is None else (url,))


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({"keys": [KEY, OTHER]}, [KEY, OTHER]),
        ({"payload": [KEY, OTHER], "key": "undefined"}, [KEY, OTHER]),
        ({"payload": [KEY], "keys": [KEY], "key": KEY}, [KEY]),
        ({"key": "", "keys": [None, 7, "..", f"{KEY}\n", KEY], "payload": {"type": None}}, [KEY]),
    ],
)
def test_where_the_keys_may_stand(body: dict[str, Any], keys: list[str]) -> None:
    assert [found.id for found in events("files.delete", **body)] == keys


@pytest.mark.parametrize(
    ("event", "payload", "why"),
    [
        ("items.update", {}, "items.update is not about a file"),
        ("files.upload", {"type": "application/pdf"}, "about a file of type application/pdf, not an image"),
    ],
)
def test_what_is_not_about_an_image(event: str, payload: Any, why: str) -> None:
    found = notification(event, key=KEY, payload=payload)
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize("body", [{"event": "files.upload"}, {"event": "files.upload", "key": "1"}, {"key": KEY}, {}])
def test_bodies_without_an_event_or_a_key(body: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        make("directus").read(verified(json.dumps(body).encode()))


def test_settings() -> None:
    assert problem("directus", bases={"local": "https://cms.example.com/"})[0] == "bases"
    assert Directus.warnings(source("directus")) == []
    assert len(Directus.warnings(source("directus", bases={}))) == 1


def test_every_delivery_counts() -> None:
    provider = make("directus")
    assert read(provider, signed(provider)).event_id is not None
