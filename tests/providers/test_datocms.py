"""DatoCMS: its credentials, and uploads with the digest of their file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import NOW, make, problem, read, signed, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.providers.verification import verify

URL = "https://www.datocms-assets.com/205/1725965489-hero.jpg"
ATTRIBUTES = {"url": URL, "filename": "hero.jpg", "mime_type": "image/jpeg", "md5": "0cc175b9c0f1b6a831c399e269772661"}


def notification(event_type: str = "update", host: str | None = None, **fields: Any) -> Notification:
    body = {
        "webhook_call_id": "c1",
        "event_triggered_at": "2026-11-24T11:00:00Z",
        "environment": "main",
        "entity_type": "upload",
        "event_type": event_type,
        "entity": {"id": "u1", "type": "upload", "attributes": ATTRIBUTES},
    }
    return make("datocms", cdn_host=host).read(verified(json.dumps(body | fields).encode()))


def event(event_type: str = "update", host: str | None = None, **fields: Any) -> AssetEvent:
    (found,) = notification(event_type, host, **fields).events
    return found


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("create", AssetKind.CREATED),
        ("update", AssetKind.UPDATED),
        ("delete", AssetKind.DELETED),
        ("invented", AssetKind.UNKNOWN),
    ],
)
def test_events(event_type: str, kind: AssetKind) -> None:
    found = event(event_type)
    assert (found.kind, found.id, found.urls, found.environment) == (kind, "u1", (URL,), "main")
    assert (found.filename, found.mime_type, found.content_hash) == ("hero.jpg", "image/jpeg", ATTRIBUTES["md5"])
    assert found.occurred_at == datetime(2026, 11, 24, 11, tzinfo=UTC)


def test_a_domain_of_one_s_own() -> None:
    assert event(host="images.example.com").urls == ("https://images.example.com/205/1725965489-hero.jpg",)
    assert problem("datocms", cdn_host="images.example.com/x")[0] == "cdn_host"


def test_a_retry_is_known_by_its_call() -> None:
    first, retry = notification(), notification(attempted_auto_retries_count=1)
    assert first.event_id == retry.event_id == "c1"
    assert notification(webhook_call_id=7).event_id == "7"
    assert notification(webhook_call_id=None).event_id not in (None, "c1")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"entity_type": "item"}, "item is no upload"),
        ({"entity_type": "cda_cache_tags", "event_type": "invalidate", "entity": None}, "cda_cache_tags is no upload"),
        (
            {"entity": {"id": "u2", "attributes": {"mime_type": "application/pdf"}}},
            "about a file of type application/pdf, not an image",
        ),
    ],
)
def test_what_is_not_about_an_image(fields: dict[str, Any], why: str) -> None:
    found = notification(**fields)
    assert (found.instead, found.events, found.event_id) == (Ignored(why), (), "c1")


@pytest.mark.parametrize("fields", [{"entity_type": None}, {"entity": None}, {"entity": {"id": None}}])
def test_bodies_that_are_no_upload_s(fields: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        notification(**fields)


def test_an_upload_without_attributes_is_one_of_the_memory() -> None:
    found = event(entity={"id": "u1"})
    assert (found.urls, found.content_hash, found.mime_type) == ((), None, None)


def test_without_auth_the_secret_is_a_bearer_token() -> None:
    provider = make("datocms", auth=None)
    request = signed(provider)
    assert dict(request.headers)["authorization"] == "Bearer fake-datocms-password"
    assert read(provider, request).events[0].kind is AssetKind.UPDATED
    with pytest.raises(Refused):
        verify(provider, signed(make("datocms")), NOW)
