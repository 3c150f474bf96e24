"""Bunny Stream: a finished video, by its id."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.senders import NOW, changed, make, signed, verified

from service.domain.errors import Refused
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.providers.verification import verify

FINISHED = b'{"VideoLibraryId":133,"VideoGuid":"g1","Status":3}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("f" * 64, "signature_mismatch"),
        ("F" * 64, "signature_malformed"),
        ("f" * 40, "signature_malformed"),
        ("", "signature_missing"),
    ],
)
def test_signatures_that_are_refused(value: str, expected: str) -> None:
    provider = make("bunny-stream")
    with pytest.raises(Refused) as refused:
        verify(provider, changed(signed(provider), {"x-bunnystream-signature": value}), NOW)
    assert refused.value.reason == expected


def test_a_finished_video() -> None:
    assert make("bunny-stream").read(verified(FINISHED)).events == (AssetEvent(kind=AssetKind.UPDATED, id="g1"),)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"VideoGuid": "g1", "Status": 5}, "the video's status is 5: it has no new thumbnail"),
        ({"VideoGuid": "g1", "Status": True}, "the video's status is None: it has no new thumbnail"),
        ({"VideoGuid": "g1"}, "the video's status is None: it has no new thumbnail"),
        ({"Status": 3}, "the body has no VideoGuid"),
        ({"VideoGuid": 1, "Status": 3}, "the body has no VideoGuid"),
    ],
)
def test_what_has_no_new_thumbnail(body: Any, why: str) -> None:
    found = make("bunny-stream").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events, found.event_id) == (Ignored(why), (), None)


def test_the_same_body_again_is_another_event() -> None:
    provider, first = make("bunny-stream"), verified(FINISHED)
    later = replace(first, received_at=NOW + timedelta(seconds=1))
    assert provider.read(first).event_id == provider.read(first).event_id != provider.read(later).event_id
