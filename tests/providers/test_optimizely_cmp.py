"""Optimizely CMP: its secret's header, and the assets of the library."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, changed, make, read, signed, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify


def notification(document: Any) -> Notification:
    return make("optimizely-cmp").read(verified(json.dumps(document).encode()))


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def test_the_secret_comes_in_its_own_header() -> None:
    provider = make("optimizely-cmp")
    request = signed(provider)
    assert dict(request.headers)["callback-secret"] == "fake-optimizely-cmp-secret"
    assert reason(provider, request) == ""
    assert reason(provider, changed(request, {"callback-secret": "fake-other"})) == "credential_mismatch"


def test_another_credential_may_take_its_place() -> None:
    other = make("optimizely-cmp", auth=AUTHS["header"])
    assert reason(other, signed(make("optimizely-cmp"))) == "credential_missing"
    assert reason(other, signed(other)) == ""


def test_each_delivery_counts() -> None:
    provider = make("optimizely-cmp")
    assert read(provider, signed(provider)).event_id


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("asset_added", AssetKind.CREATED),
        ("asset_modified", AssetKind.UPDATED),
        ("asset_renditions_created", AssetKind.UPDATED),
        ("asset_removed", AssetKind.DELETED),
        ("asset_published", AssetKind.UPDATED),
        ("asset_synced", AssetKind.UPDATED),
        ("asset_unpublished", AssetKind.UNPUBLISHED),
    ],
)
def test_events(name: str, kind: AssetKind) -> None:
    for asset in ({"id": "a1"}, {"id": "a1", "type": "image"}):
        assert notification({"event_name": name, "data": {"asset": asset}}).events == (AssetEvent(kind=kind, id="a1"),)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"event_name": "task_added"}, "task_added is not about an asset of the library"),
        (
            {"event_name": "asset_modified", "data": {"asset": {"id": "a1", "type": "video"}}},
            "about an asset of type video, not an image",
        ),
    ],
)
def test_what_is_not_about_an_image(document: Any, why: str) -> None:
    found = notification(document)
    assert (found.instead, found.events) == (Ignored(why), ())


@pytest.mark.parametrize("document", [{}, {"event_name": "asset_added"}, {"event_name": "asset_added", "data": []}])
def test_a_body_without_name_or_id_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        notification(document)
