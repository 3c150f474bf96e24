"""Appwrite: the URL is signed with the body; files of buckets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NAME, NOW, changed, make, problem, read, secrets, signed, verified
from support.vectors import agrees, cases, verdict

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Source

SIGNATURE = "x-appwrite-webhook-signature"
EVENTS = "x-appwrite-webhook-events"
PROJECT = "x-appwrite-webhook-project-id"
FILE = {"$id": "a b", "bucketId": "images", "$updatedAt": "2026-11-24T11:00:00.000+00:00", "signature": "d41d8cd9"}
BASE = "https://cloud.appwrite.io/v1/storage/buckets/images/files/"


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def notification(events: str | None, file: Any, project: str = "shop", **settings: Any) -> Notification:
    headers = {PROJECT: project} | ({} if events is None else {EVENTS: events})
    return make("appwrite", **settings).read(verified(json.dumps(file).encode(), headers))


def event(action: str, file: Any = FILE, **settings: Any) -> AssetEvent:
    (found,) = notification(f"buckets.*.files.*.{action},buckets.images.files.hero.{action}", file, **settings).events
    return found


@pytest.mark.parametrize("case", cases("appwrite"))
@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://relay.example.com/hooks/appwrite", True),
        ("https://relay.example.com/hooks/appwrite/", False),
        ("http://relay.example.com/hooks/appwrite", False),
    ],
)
def test_vectors(case: Mapping[str, Any], url: str, right: bool) -> None:
    source = Source(provider="appwrite", secrets=secrets(case["secret"]), registered_url=url)
    said = verdict(build(NAME, source), case, NOW)
    assert agrees(said, case) is right, said


def test_the_signature_is_base64_of_twenty_bytes() -> None:
    request = signed(make("appwrite"))
    assert reason(make("appwrite"), changed(request, {SIGNATURE: "AAAA"})) == "signature_mismatch"
    assert reason(make("appwrite"), changed(request, {SIGNATURE: "AAA"})) == "signature_malformed"


def test_a_user_and_a_password_may_take_its_place() -> None:
    behind = make("appwrite", auth=AUTHS["basic"], registered_url=None)
    assert reason(behind, signed(behind)) == ""


@pytest.mark.parametrize(
    ("settings", "key", "why"),
    [
        ({"registered_url": None}, "registered_url", "exactly as the sender has it"),
        ({"registered_url": "relay.example.com"}, "registered_url", "not a webhook's URL"),
        ({"bases": {"images": "x"}}, "bases", "neither a URL"),
    ],
)
def test_settings_that_do_not_suit(settings: dict[str, Any], key: str, why: str) -> None:
    found, message = problem("appwrite", **settings)
    assert found == key
    assert why in message


def test_a_source_without_bases_is_warned_of() -> None:
    assert type(make("appwrite")).warnings(Source(provider="appwrite"))


@pytest.mark.parametrize(("action", "kind"), [("create", "created"), ("update", "updated"), ("delete", "deleted")])
def test_events(action: str, kind: str) -> None:
    found = event(action)
    assert (found.kind.value, found.id, found.bucket, found.key) == (kind, "images/a b", "images", "a b")
    assert found.urls == (f"{BASE}a%20b/view?project=shop", f"{BASE}a%20b/preview?project=shop")
    assert found.content_hash == "d41d8cd9"
    assert found.occurred_at
    assert found.occurred_at.hour == (12 if action == "delete" else 11)


def test_urls() -> None:
    assert event("update", project="").urls == (f"{BASE}a%20b/view", f"{BASE}a%20b/preview")
    assert event("update", project="shop").urls[0] == f"{BASE}a%20b/view?project=shop"
    for odd in ("a&b", "\x00", "\ud800"):
        assert event("update", project=odd).urls[0] == f"{BASE}a%20b/view"
    assert event("update", bases={}).urls == ()


def test_a_delivery_is_known_by_its_body_and_what_happened() -> None:
    ids = [
        notification(f"buckets.b.files.f.{action}", FILE | {"$updatedAt": time}).event_id
        for action in ("update", "delete")
        for time in ("2026-11-24T11:00:00Z", "2026-11-24T11:00:01Z")
    ]
    assert len({*ids}) == 4
    assert read(make("appwrite"), signed(make("appwrite"))).event_id


@pytest.mark.parametrize(
    ("events", "file", "why"),
    [
        (None, FILE, "not about a file in a bucket"),
        ("users.*.create", FILE, "not about a file in a bucket"),
        ("buckets.*.update", FILE, "not about a file in a bucket"),
        ("buckets.b.files.f.update", FILE | {"mimeType": "video/mp4"}, "about a file of type video/mp4, not an image"),
    ],
)
def test_what_is_not_about_an_image(events: str | None, file: Any, why: str) -> None:
    found = notification(events, file)
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize("file", [{}, {"$id": "a"}, {"bucketId": "b"}])
def test_a_file_without_a_name_is_unreadable(file: Any) -> None:
    with pytest.raises(Unreadable):
        notification("buckets.b.files.f.update", file)
