"""Payload CMS: what its hook tells of files, and which of their URLs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import make, problem, read, secrets, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.providers.payload import HOOK

SENT, CHANGED = "2026-11-24T11:00:01.000Z", "2026-11-24T11:00:00.000Z"
FILE = {"id": 3, "filename": "hero.jpg", "mimeType": "image/jpeg", "filesize": 9, "url": "/api/media/file/hero.jpg"}


def notification(operation: str, bases: dict[str, str] | None = None, **data: Any) -> Notification:
    given = {"collection": "media", "operation": operation, "doc": FILE, **data}
    body = {"type": f"file.{operation}", "timestamp": SENT, "data": given}
    return make("payload", bases=bases or {}).read(verified(json.dumps(body).encode(), {"webhook-id": "msg_1"}))


def event(operation: str, bases: dict[str, str] | None = None, **data: Any) -> AssetEvent:
    found = notification(operation, bases, **data)
    assert found.event_id == "msg_1"
    return found.events[0]


@pytest.mark.parametrize(
    ("operation", "data", "kind"),
    [
        ("create", {"file": True}, AssetKind.CREATED),
        ("update", {"file": True}, AssetKind.REPLACED),
        ("update", {"file": False, "previousDoc": FILE}, AssetKind.UPDATED),
        ("update", {"previousDoc": FILE | {"alt": "Hero"}}, AssetKind.UPDATED),
        ("update", {"previousDoc": FILE | {"filesize": 10}}, AssetKind.REPLACED),
        ("update", {"previousDoc": FILE | {"filename": "old.jpg"}}, AssetKind.REPLACED),
        ("update", {}, AssetKind.UPDATED),
        ("delete", {"file": True, "previousDoc": {"id": 4}}, AssetKind.DELETED),
        ("invented", {"file": True}, AssetKind.UNKNOWN),
    ],
)
def test_kinds(operation: str, data: dict[str, Any], kind: AssetKind) -> None:
    found = event(operation, **data)
    assert (found.kind, found.id, found.filename) == (kind, "media/3", "hero.jpg")


@pytest.mark.parametrize(
    ("bases", "doc", "before", "urls", "earlier"),
    [
        ({}, {}, {}, ("/api/media/file/hero.jpg",), ()),
        ({}, {"url": None}, {"url": "/old.jpg"}, (), ("/old.jpg",)),
        (
            {"site": "https://cms.example.com"},
            {"thumbnailURL": "//cdn.example.com/t.jpg", "sizes": {"card": {"url": "/c.jpg"}, "big": {}, "odd": 1}},
            {"url": "/api/media/file/hero.jpg", "sizes": {"card": {"url": "/old-c.jpg"}}},
            (
                "https://cms.example.com/api/media/file/hero.jpg",
                "https://cdn.example.com/t.jpg",
                "https://cms.example.com/c.jpg",
            ),
            ("https://cms.example.com/old-c.jpg",),
        ),
    ],
)
def test_urls(
    bases: dict[str, str], doc: dict[str, Any], before: dict[str, Any], urls: tuple[str, ...], earlier: tuple[str, ...]
) -> None:
    found = event("update", bases, doc=FILE | doc, previousDoc=before)
    assert (found.urls, found.earlier_urls) == (urls, earlier)


def test_times() -> None:
    dated = FILE | {"updatedAt": CHANGED}
    assert event("update", doc=dated).occurred_at == datetime(2026, 11, 24, 11, tzinfo=UTC)
    assert event("delete", doc=dated).occurred_at == datetime(2026, 11, 24, 11, 0, 1, tzinfo=UTC)
    assert event("update").occurred_at == datetime(2026, 11, 24, 11, 0, 1, tzinfo=UTC)


def test_a_collection_without_a_name() -> None:
    assert event("update", collection=None).id == "media/3"


@pytest.mark.parametrize(
    ("mime_type", "why"),
    [("video/mp4", "about a file of type video/mp4, not an image"), (None, "about no file"), (7, "about no file")],
)
def test_what_is_not_about_an_image(mime_type: Any, why: str) -> None:
    found = notification("update", doc=FILE | {"mimeType": mime_type})
    assert (found.instead, found.events, found.event_id) == (Ignored(why), (), "msg_1")


@pytest.mark.parametrize("doc", [{}, None, {"id": None}, [FILE]])
def test_a_document_without_an_id_is_unreadable(doc: Any) -> None:
    with pytest.raises(Unreadable, match="the document has no id"):
        notification("update", doc=doc)


def test_settings_that_do_not_suit() -> None:
    assert problem("payload", bases={"media": "https://cms.example.com/"})[0] == "bases"
    assert problem("payload", secrets=secrets("not base64!"))[0] == "secrets"


def test_the_hook_is_told_in_the_guide() -> None:
    guide = make("payload").info.guide
    assert guide is not None
    assert HOOK in guide.setup[0]
    for header in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert f"'{header}'" in HOOK


def test_the_sample_is_of_a_file_renamed_on_upload() -> None:
    provider = make("payload")
    (found,) = read(provider, signed(provider)).events
    assert [url.rpartition("/")[2] for url in found.urls] == ["hero-1.jpg", "hero-1-640x480.jpg"]
    assert [url.rpartition("/")[2] for url in found.earlier_urls] == ["hero.jpg", "hero-640x480.jpg"]
