"""ImageKit: two generations of headers, and what a file's events say."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import AUTHS, NOW, SECRETS, changed, make, secrets, signed, verified, without

from service.domain.errors import Refused
from service.domain.events import AssetKind, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.signatures import hmac_sha256
from service.providers.timed_signature import TimedSignature
from service.providers.verification import verify

OLDER = TimedSignature("x-ik-signature", unit="ms")
URL = "https://ik.imagekit.io/demo/a.jpg"


def reason(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    try:
        verify(provider, request, NOW + timedelta(seconds=seconds))
    except Refused as error:
        return error.reason
    return ""


def older(provider: Provider, secret: str = SECRETS["imagekit"]) -> RawRequest:
    """The sample as it was signed before the Standard Webhooks headers came."""
    request = without(without(without(signed(provider), "webhook-id"), "webhook-timestamp"), "webhook-signature")
    return changed(request, {OLDER.header: OLDER.value(request.body, secrets(secret)[0], NOW)})


def test_the_older_header() -> None:
    provider = make("imagekit", secrets=secrets("fake-new-secret", SECRETS["imagekit"]))
    request = older(provider)
    found = verify(provider, request, NOW)
    assert (found.scheme, found.signed_at) == ("imagekit-v1", NOW)
    assert reason(provider, request, 300) == reason(provider, request, -300) == ""
    assert reason(provider, request, 301) == "timestamp_too_old"
    assert reason(provider, request, -301) == "timestamp_too_new"
    assert reason(provider, changed(request, body=request.body + b" ")) == "signature_mismatch"
    assert reason(provider, older(provider, "fake-other-secret")) == "signature_mismatch"


def test_the_newer_headers_are_the_ones_looked_at() -> None:
    """A good older header beside a bad newer one is not enough: whoever sends both signs both."""
    provider = make("imagekit")
    request = signed(provider)
    both = changed(request, {OLDER.header: OLDER.value(request.body, secrets(SECRETS["imagekit"])[0], NOW)})
    assert reason(provider, both) == ""
    assert reason(provider, changed(both, {"webhook-timestamp": "1795521601"})) == "signature_mismatch"
    assert reason(provider, changed(both, {OLDER.header: "t=1,v1=" + "0" * 64})) == ""
    assert reason(provider, without(without(both, "webhook-signature"), OLDER.header)) == "signature_missing"


def test_the_key_is_the_whole_secret_not_what_its_base64_says() -> None:
    secret = "whsec_" + base64.b64encode(b"fake-fake-fake-fake").decode()
    provider = make("imagekit", secrets=secrets(secret))
    request = signed(provider)
    message = f"{dict(request.headers)['webhook-id']}.1795521600.".encode() + request.body
    for key, expected in ((secret.encode(), ""), (b"fake-fake-fake-fake", "signature_mismatch")):
        signature = base64.b64encode(hmac_sha256(key, message)).decode()
        assert reason(provider, changed(request, {"webhook-signature": f"v1,{signature}"})) == expected


def test_with_a_capability_no_signature_is_looked_at() -> None:
    assert make("imagekit", auth=AUTHS["capability"], secrets=secrets("fake")).credential is not None


@pytest.mark.parametrize(
    ("event_type", "data", "kind"),
    [
        ("file.created", {"fileType": "image"}, "updated"),
        ("file.updated", {"fileType": "image"}, "updated"),
        ("file.updated", {"fileType": "non-image", "mime": "image/svg+xml"}, "updated"),
        ("file-version.created", {"mime": "image/png"}, "updated"),
        ("file-version.deleted", {"versionId": "v1"}, "unknown"),
        ("file.deleted", {}, "deleted"),
    ],
)
def test_events(event_type: str, data: Mapping[str, Any], kind: str) -> None:
    body = {"type": event_type, "id": "evt_1", "created_at": "2026-11-24T11:00:00Z", "data": {"fileId": "f1", **data}}
    found = make("imagekit").read(verified(json.dumps(body).encode()))
    (event,) = found.events
    assert (event.kind.value, event.id, event.urls, found.event_id) == (kind, "f1", (), "evt_1")
    assert event.occurred_at is not None
    assert event.occurred_at.hour == 11


def test_a_file() -> None:
    data = {
        "fileId": "f1",
        "url": URL,
        "thumbnail": "https://ik.imagekit.io/demo/tr:n-ik_ml_thumbnail/a.jpg",
        "name": "a.jpg",
        "filePath": "/a.jpg",
        "mime": "image/jpeg",
        "versionInfo": {"id": "v2"},
    }
    (event,) = make("imagekit").read(verified(json.dumps({"type": "file.updated", "data": data}).encode())).events
    assert (event.kind, event.urls, event.key) == (AssetKind.UPDATED, (URL,), "/a.jpg")
    assert (event.filename, event.mime_type, event.content_hash) == ("a.jpg", "image/jpeg", "v2")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"type": "folder.updated", "data": {}}, "a folder.updated event changes no image's delivery"),
        ({}, "a None event changes no image's delivery"),
        ({"type": "file.updated", "data": {"fileType": "image"}}, "the event names no file"),
        ({"type": "file.updated", "data": {"fileId": "f1", "fileType": "non-image"}}, "the file is no image"),
        (
            {"type": "file.created", "data": {"fileId": "f1", "fileType": "non-image", "mime": "application/pdf"}},
            "the file is no image",
        ),
    ],
)
def test_what_changes_no_image(body: Any, why: str) -> None:
    found = make("imagekit").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events) == (Ignored(why), ())
