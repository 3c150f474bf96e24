"""Uploadcare: `v1=` and hex, files by UUID, with and without their name in the URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NOW, SECRETS, changed, make, problem, secrets, signed, verified

from service.domain.errors import Refused
from service.domain.events import AssetEvent, Ignored
from service.providers.signatures import hmac_sha256
from service.providers.verification import verify

HEADER = "x-uc-signature"
GOOD = hmac_sha256(SECRETS["uploadcare"].encode(), b"{}").hex()
BASE = "https://ucarecdn.com/f08d7c8a/"


def payload(event: str, request_id: str | None = "r1", **data: Any) -> dict[str, Any]:
    initiator = {"type": "api", "detail": {"request_id": request_id}}
    return {"initiator": initiator, "hook": {"id": 1, "event": event}, "data": {"uuid": "f08d7c8a", **data}}


def event(body: Mapping[str, Any], **settings: Any) -> AssetEvent:
    (found,) = make("uploadcare", **settings).read(verified(json.dumps(body).encode())).events
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"v1={GOOD}", ""),
        (f"v2={GOOD}", "signature_malformed"),
        (GOOD, "signature_malformed"),
        (f"v1={GOOD.upper()}", "signature_malformed"),
        (f"v1={GOOD[:-2]}", "signature_malformed"),
        (f"v1={GOOD},v1={GOOD}", "signature_malformed"),
        ("v1=" + "0" * 64, "signature_mismatch"),
        ("", "signature_missing"),
    ],
)
def test_signatures(value: str, expected: str) -> None:
    provider = make("uploadcare", secrets=secrets("fake-new-secret", SECRETS["uploadcare"]))
    request = changed(signed(provider), {HEADER: value}, body=b"{}")
    try:
        verify(provider, request, NOW)
        found = ""
    except Refused as error:
        found = error.reason
    assert found == expected


@pytest.mark.parametrize(
    ("name", "kind", "hour"),
    [
        ("file.uploaded", "created", 10),
        ("file.deleted", "deleted", 11),
        ("file.infected", "unknown", None),
        ("file.info_updated", "unknown", None),
    ],
)
def test_events(name: str, kind: str, hour: int | None) -> None:
    times = {"datetime_uploaded": "2026-11-24T10:00:00Z", "datetime_removed": "2026-11-24T11:00:00.123456Z"}
    found = event(payload(name, **times))
    assert (found.kind.value, found.id) == (kind, "f08d7c8a")
    assert (found.occurred_at and found.occurred_at.hour) == hour


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        ({"file": f"{BASE}hero.jpg", "original_file_url": f"{BASE}hero.jpg"}, (f"{BASE}hero.jpg", BASE)),
        ({"file": BASE, "original_file_url": f"{BASE}hero.jpg"}, (BASE, f"{BASE}hero.jpg")),
        ({"file": "https://ucarecdn.com/other/hero.jpg"}, ("https://ucarecdn.com/other/hero.jpg",)),
        ({"original_file_url": f"{BASE}hero.jpg"}, (f"{BASE}hero.jpg", BASE)),
        ({"original_file_url": None}, ()),
    ],
)
def test_urls(given: Mapping[str, Any], urls: tuple[str, ...]) -> None:
    body = payload("file.deleted", original_file_url=given.get("original_file_url"), original_filename="hero.jpg")
    found = event(body | {"file": given.get("file")})
    assert (found.urls, found.filename) == (urls, "hero.jpg")


def test_a_host_of_one_s_own() -> None:
    found = event(payload("file.deleted", original_file_url=f"{BASE}a.jpg"), cdn_host="img.example.com")
    assert found.urls == ("https://img.example.com/f08d7c8a/a.jpg", "https://img.example.com/f08d7c8a/")
    assert problem("uploadcare", cdn_host="a/b") == ("cdn_host", "'a/b' cannot be part of an image's URL")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (payload("file.stored"), "a file.stored event changes no image's delivery"),
        ({}, "a None event changes no image's delivery"),
        ({"hook": {"event": "file.deleted"}}, "the event names no file"),
        (payload("file.deleted", is_image=False, mime_type="application/pdf"), "the file is no image"),
        (payload("file.deleted", is_image=False), "the file is no image"),
    ],
)
def test_what_changes_no_image(body: Any, why: str) -> None:
    found = make("uploadcare").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize("data", [{"is_image": True}, {"is_image": False, "mime_type": "image/svg+xml"}, {}])
def test_what_is_an_image(data: Mapping[str, Any]) -> None:
    assert event(payload("file.deleted", **data)).mime_type == data.get("mime_type")


@pytest.mark.parametrize(("request_id", "expected"), [("r1", "r1 deleted f08d7c8a"), (None, None), ("", None)])
def test_the_id_of_an_event_is_that_of_the_request_behind_it(request_id: str | None, expected: str | None) -> None:
    body = json.dumps(payload("file.deleted", request_id)).encode()
    assert make("uploadcare").read(verified(body)).event_id == expected
