"""Kontent.ai: both generations of its header, and batches of notifications."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import NOW, PATH, changed, make, signed, verified, without

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Sample
from service.providers.verification import verify

SIGNATURE = "x-kontent-ai-signature"
LEGACY = "x-kc-signature"


def about(action: str = "metadata_changed", object_type: str = "asset", **system: Any) -> dict[str, Any]:
    message = {"environment_id": "e1", "object_type": object_type, "action": action, "delivery_slot": "published"}
    return {"data": {"system": {"id": "a1", "name": "hero.jpg"} | system}, "message": message}


def notification(*notifications: Any) -> Notification:
    return make("kontent-ai").read(verified(json.dumps({"notifications": notifications}).encode()))


def reason(request: RawRequest) -> str:
    try:
        verify(make("kontent-ai"), request, NOW)
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("created", AssetKind.CREATED),
        ("metadata_changed", AssetKind.UPDATED),
        ("changed", AssetKind.UPDATED),
        ("deleted", AssetKind.DELETED),
        ("invented", AssetKind.UNKNOWN),
    ],
)
def test_actions(action: str, kind: AssetKind) -> None:
    assert notification(about(action)).events == (AssetEvent(kind=kind, id="a1", environment="e1"),)


def test_a_batch() -> None:
    found = notification(
        about("deleted", id="a1", last_modified="2026-10-14T17:46:40.0563735Z"),
        about("published", "content_item", id="item"),
        "noise",
        about(id="a2"),
    )
    assert [(event.id, event.kind) for event in found.events] == [
        ("a1", AssetKind.DELETED),
        ("a2", AssetKind.UPDATED),
    ]
    assert found.events[0].occurred_at == datetime(2026, 10, 14, 17, 46, 40, 56373, tzinfo=UTC)


@pytest.mark.parametrize("notifications", [[], [about("published", "content_item")], [None, 1, {}]])
def test_what_is_not_about_an_asset(notifications: list[Any]) -> None:
    found = notification(*notifications)
    assert (found.instead, found.events) == (Ignored("no notification is about an asset"), ())


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "no array of notifications"),
        ({"notifications": {"0": about()}}, "no array of notifications"),
        ({"notifications": [about(), about(id=None)]}, r"no data\.system\.id"),
    ],
)
def test_bodies_that_are_unreadable(body: Any, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        make("kontent-ai").read(verified(json.dumps(body).encode()))


def test_the_header_of_legacy_webhooks() -> None:
    request = signed(make("kontent-ai"))
    value = dict(request.headers)[SIGNATURE]
    legacy = changed(without(request, SIGNATURE), {LEGACY: value})
    assert reason(legacy) == ""
    assert reason(changed(legacy, {SIGNATURE: "A" * 43 + "="})) == "signature_mismatch"  # the newer one counts
    assert reason(changed(legacy, {SIGNATURE: ""})) == "signature_missing"
    assert reason(without(legacy, LEGACY)) == "signature_missing"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("A" * 43 + "=", "signature_mismatch"), ("A" * 43, "signature_malformed"), ("f" * 64, "signature_mismatch")],
)
def test_signatures_that_are_refused(value: str, expected: str) -> None:
    assert reason(changed(signed(make("kontent-ai")), {SIGNATURE: value})) == expected


@pytest.mark.parametrize(("sent", "expected"), [(b"\r\n", ""), (b"\n", "signature_mismatch")])
def test_line_breaks_are_signed_as_they_came(sent: bytes, expected: str) -> None:
    provider = make("kontent-ai")
    request = provider.sign(Sample(b'{"notifications":\r\n[]}'), PATH, NOW)
    assert reason(changed(request, body=request.body.replace(b"\r\n", sent))) == expected
