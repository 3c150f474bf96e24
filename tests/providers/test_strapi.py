"""Strapi: the secret header, and what the media library's events give."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, PATH, changed, make, problem, secrets, signed, verified, without

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify

MEDIA = {"id": 1, "documentId": "doc1", "name": "hero.jpg", "mime": "image/jpeg", "url": "/uploads/hero.jpg"}
SMALL = {"thumbnail": {"url": "/uploads/thumbnail_hero.jpg"}, "small": {}, "broken": None}


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def body(event: str, **media: Any) -> bytes:
    return json.dumps({"event": event, "createdAt": "2026-11-24T11:00:00.000Z", "media": MEDIA | media}).encode()


def event(name: str = "media.update", bases: dict[str, str] | None = None, **media: Any) -> AssetEvent:
    (found,) = make("strapi", bases=bases or {}).read(verified(body(name, **media))).events
    return found


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Bearer fake-strapi-token", ""),
        ("bearer fake-strapi-token", ""),
        ("Bearer fake-strapi-toke", "credential_mismatch"),
        ("Bearer fake-strapi-token-and-more", "credential_mismatch"),
        ("Bearer ", "credential_mismatch"),
        ("fake-strapi-token", "credential_malformed"),
        ("", "credential_malformed"),
    ],
)
def test_the_secret_is_a_bearer_token_where_nothing_else_is_said(authorization: str, expected: str) -> None:
    provider = make("strapi")
    assert reason(provider, changed(signed(provider), {"authorization": authorization})) == expected


def test_without_the_header_nobody_is_let_in() -> None:
    provider = make("strapi")
    assert reason(provider, without(signed(provider), "authorization")) == "credential_missing"
    with pytest.raises(Refused) as refused:
        provider.verify_signature(signed(provider), NOW, None)
    assert refused.value.reason == "signature_missing"
    sample = Sample(b"{}")
    assert provider.signed(sample, PATH, NOW, None) is sample


def test_another_header_in_its_place() -> None:
    provider = make("strapi", auth=AUTHS["header"], secrets=secrets("fake-new", "fake-old"))
    assert reason(provider, changed(signed(provider), {"x-relay-key": "fake-old"})) == ""
    assert reason(provider, signed(make("strapi"))) == "credential_missing"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("media.create", "created"),
        ("media.update", "updated"),
        ("media.delete", "deleted"),
        ("media.invented", "unknown"),
    ],
)
def test_events(name: str, kind: str) -> None:
    found = event(name)
    assert (found.kind.value, found.id, found.filename, found.mime_type) == (kind, "doc1", "hero.jpg", "image/jpeg")
    assert found.occurred_at is not None
    assert found.occurred_at.hour == 11


@pytest.mark.parametrize(
    ("bases", "media", "urls"),
    [
        ({}, {}, ("/uploads/hero.jpg",)),
        ({}, {"formats": SMALL}, ("/uploads/hero.jpg", "/uploads/thumbnail_hero.jpg")),
        ({}, {"url": None}, ()),
        ({"local": "https://cms.example.com"}, {}, ("https://cms.example.com/uploads/hero.jpg",)),
        (
            {"local": "https://cms.example.com/"},
            {"formats": SMALL, "provider": "local"},
            ("https://cms.example.com/uploads/hero.jpg", "https://cms.example.com/uploads/thumbnail_hero.jpg"),
        ),
        ({"local": "https://cms.example.com/"}, {"provider": "elsewhere"}, ("/uploads/hero.jpg",)),
        ({"local": "https://cms.example.com/"}, {"url": "https://s3.example/a.jpg"}, ("https://s3.example/a.jpg",)),
        ({"local": "https://cms.example.com/"}, {"url": "//s3.example/a.jpg"}, ("https://s3.example/a.jpg",)),
    ],
)
def test_urls(bases: dict[str, str], media: dict[str, Any], urls: tuple[str, ...]) -> None:
    assert event(bases=bases, **media).urls == urls


def test_the_older_id_serves_where_there_is_no_other() -> None:
    assert event(documentId=None).id == "1"


@pytest.mark.parametrize(
    ("sent", "instead"),
    [
        ({"event": "trigger-test"}, events.TestPing("Strapi's test button")),
        ({"event": "entry.update", "entry": {"id": 1}}, Ignored("entry.update is not about a file")),
        (
            {"event": "media.update", "media": MEDIA | {"mime": "video/mp4"}},
            Ignored("about a file of type video/mp4, not an image"),
        ),
    ],
)
def test_what_is_not_about_an_image(sent: dict[str, Any], instead: Ignored | events.TestPing) -> None:
    found = make("strapi").read(verified(json.dumps(sent).encode()))
    assert (found.instead, found.events) == (instead, ())


@pytest.mark.parametrize("sent", [b"{}", b'{"event":1}', b'{"event":"media.update"}', b'{"event":"media.x","media":1}'])
def test_a_body_without_event_or_id_is_unreadable(sent: bytes) -> None:
    with pytest.raises(Unreadable):
        make("strapi").read(verified(sent))


def test_a_base_that_is_no_url() -> None:
    assert problem("strapi", bases={"local": "cms.example.com"})[0] == "bases"
