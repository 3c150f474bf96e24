"""Squidex: the digest that is no HMAC, and URLs made of app and id."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from support.senders import NOW, changed, make, problem, signed, source, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.squidex import Squidex
from service.providers.verification import verify

BASE = "https://cloud.squidex.io/api/assets/acme"
EVENT = {
    "type": "Updated",
    "id": "a1",
    "mimeType": "image/jpeg",
    "fileName": "hero.jpg",
    "fileHash": "h1",
    "appId": "e3a1,acme",
    "timestamp": "2026-11-24T11:00:00Z",
}


def notification(body: Any, host: str | None = "cloud.squidex.io") -> Notification:
    return make("squidex", cdn_host=host).read(verified(json.dumps(body).encode()))


def event(host: str | None = "cloud.squidex.io", **fields: Any) -> AssetEvent:
    (found,) = notification({"type": "x", "payload": EVENT | fields}, host).events
    return found


def reason(request: RawRequest) -> str:
    try:
        verify(make("squidex"), request, NOW)
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        (sha256(b'{"a":1}fake-squidex-secret').digest(), ""),
        (sha256(b'fake-squidex-secret{"a":1}').digest(), "signature_mismatch"),
        (hmac.digest(b"fake-squidex-secret", b'{"a":1}', "sha256"), "signature_mismatch"),
        (b"", "signature_missing"),
        (sha256(b'{"a":1}fake-squidex-secret').digest()[:-1], "signature_mismatch"),
    ],
)
def test_body_and_secret_make_the_digest(signature: bytes, expected: str) -> None:
    headers = {"x-signature": base64.b64encode(signature).decode()}
    assert reason(RawRequest.of("POST", "/", headers, b'{"a":1}')) == expected


def test_a_signature_in_hex_is_none() -> None:
    request = signed(make("squidex"))
    digits = base64.b64decode(dict(request.headers)["x-signature"]).hex()
    assert reason(changed(request, {"x-signature": digits})) == "signature_mismatch"
    assert reason(changed(request, {"x-signature": "sha256=" + digits})) == "signature_malformed"


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("Created", AssetKind.CREATED),
        ("Updated", AssetKind.REPLACED),
        ("Annotated", AssetKind.UPDATED),
        ("Deleted", AssetKind.DELETED),
        ("Moved", AssetKind.UNKNOWN),
        (None, AssetKind.UNKNOWN),
    ],
)
def test_kinds(action: str | None, kind: AssetKind) -> None:
    found = event(type=action)
    assert (found.kind, found.id, found.filename, found.mime_type) == (kind, "a1", "hero.jpg", "image/jpeg")
    assert found.occurred_at == datetime(2026, 11, 24, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "host", "urls"),
    [
        ({}, "cloud.squidex.io", (f"{BASE}/a1",)),
        ({"slug": "hero.jpg"}, "cloud.squidex.io", (f"{BASE}/a1", f"{BASE}/hero.jpg")),
        ({"slug": "a1"}, "cloud.squidex.io", (f"{BASE}/a1",)),
        ({"id": "a/1 ?"}, "cloud.squidex.io", (f"{BASE}/a%2F1%20%3F",)),
        ({"appId": "e3a1,my app"}, "cms.example.com:8443", ("https://cms.example.com:8443/api/assets/my%20app/a1",)),
        ({"appId": "e3a1"}, "cloud.squidex.io", ()),
        ({"appId": None}, "cloud.squidex.io", ()),
        ({}, None, ()),
    ],
)
def test_urls(fields: dict[str, Any], host: str | None, urls: tuple[str, ...]) -> None:
    assert event(host, **fields).urls == urls


def test_the_event_without_an_envelope() -> None:
    (found,) = notification(EVENT).events
    assert (found.kind, found.id, found.content_hash) == (AssetKind.REPLACED, "a1", "h1")


def test_what_changes_with_the_file() -> None:
    assert event(fileHash=None, fileVersion=4).content_hash == "4"
    (found,) = notification({"timestamp": "2026-11-24T11:00:00Z", "payload": EVENT | {"timestamp": None}}).events
    assert found.occurred_at == datetime(2026, 11, 24, 11, tzinfo=UTC)


@pytest.mark.parametrize("version", [None, "7", -1, 0, 7.5])
def test_a_version_that_is_no_number(version: Any) -> None:
    assert event(version=version).sequence is None


def test_versions_sort() -> None:
    sequences = [event(version=version).sequence or "" for version in (2, 10, 2**64)]
    assert sequences == sorted(sequences)
    assert all(sequences)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"payload": {"type": "Updated", "id": "c1", "schemaId": "s,post"}}, "Updated is not about an asset"),
        ({"payload": {"id": "c1"}}, "the event is not about an asset"),
        ({}, "the event is not about an asset"),
        ({"payload": EVENT | {"mimeType": "video/mp4"}}, "about a file of type video/mp4, not an image"),
    ],
)
def test_what_is_not_about_an_image(body: Any, why: str) -> None:
    found = notification(body)
    assert (found.instead, found.events) == (Ignored(why), ())


def test_an_asset_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the asset has no id"):
        event(id=None)


def test_settings() -> None:
    assert problem("squidex", cdn_host="https://cloud.squidex.io")[0] == "cdn_host"
    assert Squidex.warnings(source("squidex")) == []
    assert len(Squidex.warnings(source("squidex", cdn_host=None))) == 1
