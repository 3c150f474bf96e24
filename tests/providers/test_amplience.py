"""Amplience: the signature, and the images of content items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NAME, NOW, make, problem, secrets, signed, verified
from support.vectors import agrees, cases, request_of, verdict

from service.domain.errors import Unreadable
from service.domain.events import Ignored, Notification
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Source

IMAGE = {"name": "hero ä", "endpoint": "acme", "defaultHost": "cdn.media.amplience.net"}
URL = "https://cdn.media.amplience.net/i/acme/hero%20%C3%A4"


def notification(action: str, item: Any, **settings: Any) -> Notification:
    body = {"name": f"dynamic-content.{action}", "payload": item, "requestId": "r1"}
    return make("amplience", **settings).read(verified(json.dumps(body).encode()))


@pytest.mark.parametrize("case", cases("amplience"))
def test_vectors(case: Mapping[str, Any]) -> None:
    provider = build(NAME, Source(provider="amplience", secrets=secrets(case["secret"])))
    assert agrees(said := verdict(provider, case, NOW), case), said


def test_the_vector_s_image() -> None:
    case = cases("amplience")[0].values[0]
    provider = build(NAME, Source(provider="amplience", secrets=secrets(case["secret"])))
    (found,) = provider.read(verify(provider, request_of(case), NOW)).events
    assert found.urls == ("https://cdn.media.amplience.net/i/acme/hero-%C3%A4",)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("created", "created"),
        ("updated", "updated"),
        ("published", "updated"),
        ("invented", "updated"),
        ("unpublished", "unpublished"),
        ("deleted", "deleted"),
    ],
)
def test_events(action: str, kind: str) -> None:
    found = notification(f"content-item.{action}", {"id": "i1", "body": {"image": IMAGE}})
    (one,) = found.events
    assert (one.kind.value, one.id, one.urls, found.event_id) == (kind, "i1", (URL,), "r1")


def test_a_sample_shows_an_image() -> None:
    provider = make("amplience")
    (found,) = provider.read(verify(provider, signed(provider), NOW)).events
    assert found.urls == ("https://cdn.media.amplience.net/i/acme/hero",)


def test_every_image_of_an_item_once() -> None:
    link = "https://images.example.com/a.png"
    body = {"slides": [{"image": IMAGE}, {"image": IMAGE}, {"image": {"endpoint": "acme"}}], "link": link}
    (found,) = notification("content-item.updated", {"id": "i1", "body": body}).events
    assert found.urls == (URL, link)


def test_the_site_s_own_host() -> None:
    item = {"id": "i1", "body": IMAGE}
    (found,) = notification("content-item.updated", item, cdn_host="img.example.com").events
    assert found.urls == ("https://img.example.com/i/acme/hero%20%C3%A4",)
    assert problem("amplience", cdn_host="a/b")[0] == "cdn_host"


def test_an_item_that_is_gone_needs_no_images() -> None:
    (found,) = notification("content-item.deleted", {"id": "i1"}).events
    assert found.urls == ()


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("edition.published", "dynamic-content.edition.published is not about a content item"),
        ("content-item.updated", "the content item shows no image"),
    ],
)
def test_what_is_not_about_an_image(action: str, why: str) -> None:
    found = notification(action, {"id": "i1", "body": {"title": "x"}})
    assert (found.instead, found.events, found.event_id) == (Ignored(why), (), "r1")


@pytest.mark.parametrize("item", [None, {}, {"id": 1}])
def test_an_item_without_an_id_is_unreadable(item: Any) -> None:
    with pytest.raises(Unreadable):
        notification("content-item.updated", item)
