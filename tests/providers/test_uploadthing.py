"""UploadThing: the signature, and the file that was uploaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NAME, NOW, changed, make, secrets, signed, verified
from support.vectors import agrees, cases, request_of, verdict

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetKind, Ignored, Notification
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Source

SIGNATURE = "x-uploadthing-signature"


def notification(document: Any) -> Notification:
    return make("uploadthing").read(verified(json.dumps(document).encode()))


@pytest.mark.parametrize("case", cases("uploadthing"))
def test_vectors(case: Mapping[str, Any]) -> None:
    provider = build(NAME, Source(provider="uploadthing", secrets=secrets(case["secret"])))
    assert agrees(said := verdict(provider, case, NOW), case), said


def test_the_vector_s_file() -> None:
    case = cases("uploadthing")[0].values[0]
    provider = build(NAME, Source(provider="uploadthing", secrets=secrets(case["secret"])))
    found = provider.read(verify(provider, request_of(case), NOW))
    (event,) = found.events
    key = "2e0fdb64-9957-4262-8e45-f372ba903ac8_hero.jpg"
    assert (event.kind, event.id, event.filename, event.mime_type) == (
        AssetKind.CREATED,
        key,
        "hero.jpg",
        "image/jpeg",
    )
    assert event.urls == (
        f"https://appid.ufs.sh/f/{key}",
        "https://utfs.io/a/app/2e0fdb64",
        f"https://utfs.io/f/{key}",
    )
    assert (event.content_hash, found.event_id) == ("d41d8cd98f00b204e9800998ecf8427e", f"uploaded {key}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "signature_missing"),
        ("f" * 64, "signature_malformed"),
        ("sha256=" + "f" * 64, "signature_malformed"),
        ("hmac-sha256=" + "F" * 64, "signature_malformed"),
        ("hmac-sha256=" + "f" * 64, "signature_mismatch"),
    ],
)
def test_signatures_that_are_refused(value: str, expected: str) -> None:
    provider = make("uploadthing")
    with pytest.raises(Refused) as refused:
        verify(provider, changed(signed(provider), {SIGNATURE: value}), NOW)
    assert refused.value.reason == expected


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"status": "failed"}, "the status failed is not that of a finished upload"),
        ({}, "the status None is not that of a finished upload"),
        (
            {"status": "uploaded", "file": {"key": "k", "type": "video/mp4"}},
            "about a file of type video/mp4, not an image",
        ),
    ],
)
def test_what_is_not_about_an_image(document: Any, why: str) -> None:
    found = notification(document)
    assert (found.instead, found.events) == (Ignored(why), ())


def test_a_file_without_a_type() -> None:
    (found,) = notification({"status": "uploaded", "file": {"key": "k"}}).events
    assert (found.id, found.urls) == ("k", ())


@pytest.mark.parametrize("file", [None, {}, {"key": 1}])
def test_a_file_without_a_key_is_unreadable(file: Any) -> None:
    with pytest.raises(Unreadable):
        notification({"status": "uploaded", "file": file})
