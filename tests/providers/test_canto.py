"""Canto: what happened is told by the webhook's URL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, PATH, changed, make, read, secrets, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.domain.requests import Verified
from service.providers.verification import restore, verify


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("?event=deleted", AssetKind.DELETED),
        ("?event=delete", AssetKind.DELETED),
        ("?event=replaced", AssetKind.REPLACED),
        ("?x=1&event=created", AssetKind.CREATED),
        ("?event=unknown", AssetKind.UNKNOWN),
        ("?event=album", AssetKind.UPDATED),
        ("?event=", AssetKind.UPDATED),
        ("", AssetKind.UPDATED),
    ],
)
def test_the_url_says_what_happened(query: str, kind: AssetKind) -> None:
    provider = make("canto")
    (found,) = read(provider, changed(signed(provider), path=PATH + query)).events
    assert found.kind is kind


def test_the_same_behind_a_secret_url() -> None:
    behind = make("canto", auth=AUTHS["capability"], secrets=secrets("fake-secret"))
    request = signed(behind)
    found = verify(behind, changed(request, path=f"{request.path}?event=deleted"), NOW)
    assert found.scheme == "capability deleted"
    assert [event.kind for event in behind.read(found).events] == [AssetKind.DELETED]


def test_a_replay_knows_it_too() -> None:
    provider = make("canto")
    found = verify(provider, changed(signed(provider), path=f"{PATH}?event=deleted"), NOW)
    again = restore(
        source=found.source,
        scheme=found.scheme,
        headers=found.headers,
        body=found.body,
        received_at=found.received_at,
        signed_at=found.signed_at,
    )
    assert provider.read(again) == provider.read(found)


def of(document: Any) -> Verified:
    return verified(json.dumps(document).encode())


def test_an_asset() -> None:
    found = make("canto").read(of({"scheme": "image", "id": "psnne2p0", "displayname": "hero.jpg"}))
    assert found.events == (AssetEvent(kind=AssetKind.UPDATED, id="image/psnne2p0", filename="hero.jpg"),)
    assert found.event_id


def test_what_is_not_an_image() -> None:
    found = make("canto").read(of({"scheme": "video", "id": "v1"}))
    assert (found.instead, found.events) == (Ignored("about an asset of the scheme video, not an image"), ())


@pytest.mark.parametrize("document", [{}, {"scheme": "image"}, {"id": "i1"}, {"scheme": "image", "id": 1}])
def test_an_asset_without_scheme_or_id_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        make("canto").read(of(document))
