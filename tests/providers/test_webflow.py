"""Webflow: the signature, and the images of collection items."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from support.senders import NOW, changed, make, secrets, signed, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

URL = "https://cdn.prod.website-files.com/site/file_hero.jpg"
ITEM = {"id": "i1", "lastUpdated": "2026-11-24T11:00:00.000Z", "fieldData": {"picture": {"fileId": "f", "url": URL}}}


def reason(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    try:
        verify(provider, request, NOW + timedelta(seconds=seconds))
    except Refused as error:
        return error.reason
    return ""


def events(trigger: str, payload: Any) -> tuple[AssetEvent, ...]:
    body = json.dumps({"triggerType": f"collection_item_{trigger}", "payload": payload}).encode()
    return make("webflow").read(verified(body)).events


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-webflow-signature": "F" * 64}, "signature_malformed"),
        ({"x-webflow-signature": "f" * 40}, "signature_malformed"),
        ({"x-webflow-signature": "f" * 64}, "signature_mismatch"),
        ({"x-webflow-timestamp": "soon"}, "timestamp_malformed"),
        ({"x-webflow-timestamp": "1795521600001"}, "signature_mismatch"),
        ({"x-webflow-timestamp": ""}, "signature_missing"),
        ({"x-unsigned": "anything"}, ""),
    ],
)
def test_headers_that_are_refused(headers: dict[str, str], expected: str) -> None:
    provider = make("webflow")
    assert reason(provider, changed(signed(provider), headers)) == expected


def test_every_webhook_s_secret_is_tried() -> None:
    request = signed(make("webflow", secrets=secrets("fake-of-deletions")))
    assert reason(make("webflow", secrets=secrets("fake-of-changes", "fake-of-deletions")), request) == ""
    assert reason(make("webflow", secrets=secrets("fake-of-changes")), request) == "signature_mismatch"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(300, ""), (-300, ""), (301, "timestamp_too_old"), (-301, "timestamp_too_new")]
)
def test_five_minutes_either_way(seconds: float, expected: str) -> None:
    provider = make("webflow")
    assert reason(provider, signed(provider), seconds) == expected


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [
        ("created", "created"),
        ("changed", "updated"),
        ("published", "updated"),
        ("unpublished", "unpublished"),
        ("deleted", "deleted"),
    ],
)
def test_triggers(trigger: str, kind: str) -> None:
    (found,) = events(trigger, ITEM | {"cmsLocaleId": "en"})
    assert (found.kind.value, found.id, found.urls, found.locale) == (kind, "i1", (URL,), "en")
    assert found.occurred_at is not None
    assert found.occurred_at.hour == 11


def test_items_published_together() -> None:
    found = events("published", {"items": [ITEM, {"id": "i2", "fieldData": {"name": "no image"}}, ITEM | {"id": "i3"}]})
    assert [event.id for event in found] == ["i1", "i3"]


def test_an_item_that_is_gone_needs_no_images() -> None:
    (found,) = events("deleted", {"_id": "i1"})
    assert (found.kind.value, found.id, found.urls) == ("deleted", "i1", ())


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"triggerType": "form_submission", "payload": {}}, "form_submission is not about a collection item"),
        ({"triggerType": "site_publish"}, "site_publish is not about a collection item"),
        (
            {"triggerType": "collection_item_changed", "payload": {"id": "i1", "fieldData": {"name": "x"}}},
            "no item of these links to an image",
        ),
    ],
)
def test_what_is_not_about_an_image(document: Any, why: str) -> None:
    found = make("webflow").read(verified(json.dumps(document).encode()))
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"triggerType": 1},
        {"triggerType": "collection_item_changed"},
        {"triggerType": "collection_item_published", "payload": {"items": [ITEM, 1]}},
    ],
)
def test_a_body_without_trigger_or_id_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        make("webflow").read(verified(json.dumps(document).encode()))
