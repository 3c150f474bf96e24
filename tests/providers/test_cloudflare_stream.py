"""Cloudflare Stream: `time=…,sig1=…`, and the poster image of a video that is ready."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import NOW, changed, make, signed, verified

from service.domain.errors import Refused
from service.domain.events import Ignored
from service.providers.verification import verify

THUMBNAIL = "https://customer-f33zs165nr7gyfy4.cloudflarestream.com/v1/thumbnails/thumbnail.jpg"
READY = {"uid": "v1", "status": {"state": "ready"}}


@pytest.mark.parametrize(
    ("old", "new", "seconds", "expected"),
    [
        ("", "", 300, ""),
        ("", "", 301, "timestamp_too_old"),
        ("", "", -301, "timestamp_too_new"),
        ("time=1795521600", "time=1795521601", 0, "signature_mismatch"),
        ("time=", "t=", 0, "signature_malformed"),
        ("sig1=", "v1=", 0, "signature_malformed"),
    ],
)
def test_signatures(old: str, new: str, seconds: float, expected: str) -> None:
    provider = make("cloudflare-stream")
    request = signed(provider)
    value = dict(request.headers)["webhook-signature"].replace(old, new)
    try:
        verify(provider, changed(request, {"webhook-signature": value}), NOW + timedelta(seconds=seconds))
        found = ""
    except Refused as error:
        found = error.reason
    assert found == expected


@pytest.mark.parametrize(
    ("more", "urls", "hour", "event_id"),
    [
        (
            {"thumbnail": THUMBNAIL, "modified": "2026-11-24T11:00:00.000000Z"},
            (THUMBNAIL,),
            11,
            "v1 ready 2026-11-24T11:00:00.000000Z",
        ),
        ({"thumbnail": None}, (), None, None),
    ],
)
def test_a_video_that_is_ready(
    more: Mapping[str, Any], urls: tuple[str, ...], hour: int | None, event_id: str | None
) -> None:
    found = make("cloudflare-stream").read(verified(json.dumps({**READY, "meta": {"name": "a.mp4"}, **more}).encode()))
    (event,) = found.events
    assert (event.kind.value, event.id, event.urls, event.filename) == ("updated", "v1", urls, "a.mp4")
    assert (event.occurred_at and event.occurred_at.hour) == hour
    assert found.event_id == event_id


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"uid": "v1", "status": {"state": "error"}}, "the video's state is error: it has no new poster image"),
        ({"uid": "v1", "readyToStream": True}, "the video's state is None: it has no new poster image"),
        ({"status": {"state": "ready"}}, "the body has no video's uid"),
        ({}, "the body has no video's uid"),
    ],
)
def test_what_has_no_poster_image(body: Any, why: str) -> None:
    found = make("cloudflare-stream").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events) == (Ignored(why), ())
