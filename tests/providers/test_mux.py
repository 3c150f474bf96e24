"""Mux: the thumbnails of a video's public playback ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NOW, changed, make, secrets, signed, verified

from service.domain.errors import Refused
from service.domain.events import Ignored
from service.providers.verification import verify

BASE = "https://image.mux.com/p1/thumbnail"


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [("video.asset.ready", "created"), ("video.asset.updated", "updated"), ("video.asset.deleted", "deleted")],
)
@pytest.mark.parametrize("named", [{"data": {"id": "a1"}}, {"object": {"type": "asset", "id": "a1"}}])
def test_events(event_type: str, kind: str, named: Mapping[str, Any]) -> None:
    body = {"type": event_type, "id": "e1", "created_at": "2026-11-24T11:00:00.000000Z", "environment": {"name": "P"}}
    found = make("mux").read(verified(json.dumps({**body, **named}).encode()))
    (event,) = found.events
    assert (event.kind.value, event.id, event.urls, event.environment) == (kind, "a1", (), "P")
    assert found.event_id == "e1"
    assert event.occurred_at is not None
    assert event.occurred_at.hour == 11


@pytest.mark.parametrize(
    ("playback_ids", "urls"),
    [
        ([{"id": "p1", "policy": "public"}], (f"{BASE}.jpg", f"{BASE}.png", f"{BASE}.webp")),
        ([{"id": "p1"}, {"id": "p1"}], (f"{BASE}.jpg", f"{BASE}.png", f"{BASE}.webp")),
        ([{"id": "p1", "policy": "signed"}, {"id": "p2", "policy": "drm"}, {}, None, "p3", {"id": 1}], ()),
        ({"id": "p1"}, ()),
        (None, ()),
    ],
)
def test_thumbnails(playback_ids: Any, urls: tuple[str, ...]) -> None:
    body = {"type": "video.asset.deleted", "data": {"id": "a1", "playback_ids": playback_ids}}
    (event,) = make("mux").read(verified(json.dumps(body).encode())).events
    assert event.urls == urls


def test_a_playback_id_cannot_leave_its_place_in_the_url() -> None:
    body = {"type": "video.asset.deleted", "data": {"id": "a1", "playback_ids": [{"id": "../é?"}]}}
    (event,) = make("mux").read(verified(json.dumps(body).encode())).events
    assert event.urls[0] == "https://image.mux.com/..%2F%C3%A9%3F/thumbnail.jpg"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"type": "video.upload.created", "data": {"id": "u1"}}, "a video.upload.created event changes no thumbnail"),
        ({"test": "body"}, "a None event changes no thumbnail"),
        ({"type": "video.asset.deleted", "data": {}}, "the event names no asset"),
    ],
)
def test_what_changes_no_thumbnail(body: Any, why: str) -> None:
    found = make("mux").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events) == (Ignored(why), ())


def test_one_good_signature_among_several_is_enough() -> None:
    provider = make("mux", secrets=secrets("fake-new-secret", "fake-mux-secret"))
    request = signed(make("mux", secrets=secrets("fake-mux-secret")))
    value = dict(request.headers)["mux-signature"]
    verify(provider, changed(request, {"mux-signature": f"{value},v1={'0' * 64}"}), NOW)
    with pytest.raises(Refused) as refused:
        verify(provider, changed(request, {"mux-signature": value[:-64] + "0" * 64}), NOW)
    assert refused.value.reason == "signature_mismatch"
