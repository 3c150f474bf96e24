"""Frontify: the signature of its receivers, and its events."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from support.senders import NOW, make, read, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetKind, Ignored, Notification

URL = "https://cdn.example.com/hero.jpg"


def notification(document: Any) -> Notification:
    return make("frontify").read(verified(json.dumps(document).encode()))


def test_the_signature_is_base64_of_the_body_s_hmac() -> None:
    request = signed(make("frontify"))
    expected = base64.b64encode(hmac.digest(b"fake-frontify-secret", request.body, "sha256")).decode()
    assert dict(request.headers)["x-frontify-webhook-signature"] == expected


def test_a_sample() -> None:
    (found,) = read(make("frontify"), signed(make("frontify"))).events
    assert (found.kind, found.id, found.occurred_at) == (AssetKind.REPLACED, "4711", NOW)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("ASSET_CREATED", AssetKind.CREATED),
        ("ASSET_UPDATED", AssetKind.UPDATED),
        ("ASSET_MOVED", AssetKind.UPDATED),
        ("ASSET_PROCESSED", AssetKind.UPDATED),
        ("ASSET_REVISION_ADDED", AssetKind.REPLACED),
        ("ASSET_VARIANT_REMOVED", AssetKind.UPDATED),
        ("ASSET_DELETED", AssetKind.DELETED),
    ],
)
def test_events(action: str, kind: AssetKind) -> None:
    for document in ({"asset": {"id": "a1", "url": URL}}, {"data": {"asset": {"id": "a1", "url": URL}}}):
        (found,) = notification({"event": {"action": action}} | document).events
        assert (found.kind, found.id, found.urls) == (kind, "a1", (URL,))


def test_an_asset_in_an_unknown_place_has_no_memory() -> None:
    (one,), (other,) = (notification({"event": {"action": "ASSET_UPDATED"}, "x": x}).events for x in (1, 2))
    assert one.id != other.id


def test_a_delivery_is_known_by_its_time_and_body() -> None:
    event = {"action": "ASSET_UPDATED"}
    assert notification({"event": event | {"occurredAt": "2026-11-24T11:00:00Z"}}).event_id is None
    assert notification({"event": event}).event_id is not None


@pytest.mark.parametrize("action", ["ASSET_TAG_ADDED", "WORKFLOW_TASK_MOVED"])
def test_what_changes_no_file(action: str) -> None:
    assert notification({"event": {"action": action}}).instead == Ignored(f"{action} changes no file")


@pytest.mark.parametrize("document", [{}, {"event": "ASSET_CREATED"}, {"event": {"action": 1}}])
def test_a_body_without_an_action_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        notification(document)
