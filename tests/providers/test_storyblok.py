"""Storyblok: what its bodies say, and that two of the same are two events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.senders import NOW, changed, make, signed, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.providers.verification import verify

TOPIC = "x-storyblok-topic"


def notification(body: Any, headers: Mapping[str, str] | None = None) -> Notification:
    return make("storyblok").read(verified(json.dumps(body).encode(), headers))


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("created", AssetKind.CREATED),
        ("replaced", AssetKind.REPLACED),
        ("deleted", AssetKind.DELETED),
        ("restored", AssetKind.RESTORED),
        ("invented", AssetKind.UNKNOWN),
        (None, AssetKind.UNKNOWN),
    ],
)
def test_actions(action: str | None, kind: AssetKind) -> None:
    found = notification({"action": action, "space_id": 606, "asset_id": 44202})
    assert found.events == (AssetEvent(kind=kind, id="44202", environment="606"),)


def test_the_topic_is_not_signed_and_not_believed() -> None:
    provider = make("storyblok")
    forged = changed(signed(provider, "asset.created"), {TOPIC: "asset.deleted"})
    (event,) = provider.read(verify(provider, forged, NOW)).events
    assert event.kind is AssetKind.CREATED


@pytest.mark.parametrize("headers", [{}, {TOPIC: "story.published"}])
def test_what_is_not_about_an_asset(headers: Mapping[str, str]) -> None:
    found = notification({"action": "published", "space_id": 606, "story_id": 107350611}, headers)
    assert (found.instead, found.events) == (Ignored("not about an asset: the body has no asset_id"), ())


def test_an_asset_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no asset_id"):
        notification({"action": "replaced", "space_id": 606}, {TOPIC: "asset.replaced"})


def test_the_same_body_again_is_another_event() -> None:
    provider = make("storyblok")
    request = verified(b'{"action": "replaced", "asset_id": 44202}')
    later = replace(request, received_at=NOW + timedelta(seconds=1))
    other = replace(request, body=b'{"action": "replaced", "asset_id": 44203}')
    first, second, third = (provider.read(one).event_id for one in (request, later, other))
    assert len({first, second, third}) == 3
    assert first == provider.read(request).event_id


@pytest.mark.parametrize(
    ("signature", "expected"),
    [("f" * 40, "signature_mismatch"), ("F" * 40, "signature_malformed"), ("f" * 64, "signature_malformed")],
)
def test_signatures_that_are_refused(signature: str, expected: str) -> None:
    provider = make("storyblok")
    with pytest.raises(Refused) as refused:
        verify(provider, changed(signed(provider), {"webhook-signature": signature}), NOW)
    assert refused.value.reason == expected
