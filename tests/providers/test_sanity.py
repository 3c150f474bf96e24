"""Sanity: the signature, and the images in whatever a projection sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NOW, changed, make, problem, signed, verified

from service.domain.errors import Refused
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.sanity_images import MAX_IMAGES, Images, Place
from service.providers.verification import verify

A, B = "a" * 40, "b" * 24
ID_A, ID_B = f"image-{A}-1200x800-jpg", f"image-{B}-10x10-png"
CDN = "https://cdn.sanity.io/images/abc123de/production"
URL_A, URL_B = f"{CDN}/{A}-1200x800.jpg", f"{CDN}/{B}-10x10.png"
PLACE = {"projectId": "abc123de", "dataset": "production"}


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def found(document: Mapping[str, Any], headers: Mapping[str, str] | None = None, **settings: Any) -> AssetEvent:
    (event,) = make("sanity", **settings).read(verified(json.dumps(document).encode(), headers)).events
    return event


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{t},{v}", ""),
        ("{t}, {v}", "signature_malformed"),
        ("{t},{v},{v}", "signature_malformed"),
        ("{t},{v}=", "signature_malformed"),
        ("{v},{t}", "signature_malformed"),
        ("{t}0,{v}", "signature_malformed"),
        (" {t},{v}", "signature_malformed"),
        ("t=1795521600,{v}", "signature_malformed"),
        ("t=1795521600001,{v}", "signature_mismatch"),
        ("", "signature_missing"),
    ],
)
def test_the_signature_has_one_spelling(value: str, expected: str) -> None:
    provider = make("sanity")
    request = signed(provider)
    t, v = dict(request.headers)["sanity-webhook-signature"].split(",")
    assert reason(provider, changed(request, {"sanity-webhook-signature": value.format(t=t, v=v)})) == expected


def test_the_last_character_s_loose_bits_count() -> None:
    """43 characters are 258 bits: a decoder would take four spellings of the same digest."""
    provider = make("sanity")
    request = signed(provider)
    value = dict(request.headers)["sanity-webhook-signature"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(value[-1]) ^ 1]
    assert reason(provider, changed(request, {"sanity-webhook-signature": value[:-1] + other})) == "signature_mismatch"


@pytest.mark.parametrize(
    ("document", "urls", "earlier"),
    [
        ({"_id": ID_A, "_type": "sanity.imageAsset", "url": f"{CDN}/given.jpg"}, [f"{CDN}/given.jpg"], []),
        ({"_id": ID_A}, [URL_A], []),
        ({"_id": "page", "hero": {"asset": {"_ref": ID_A}}}, [URL_A], []),
        ({"_id": "page", "gallery": [{"asset": {"_ref": ID_A}}, {"asset": {"_ref": ID_B}}, ID_A]}, [URL_A, URL_B], []),
        ({"_id": "page", "new": ID_A, "old": ID_B}, [URL_A], [URL_B]),
        ({"_id": "page", "new": ID_A, "before": {"asset": {"_ref": ID_B}}}, [URL_A], [URL_B]),
        ({"_id": "page", "new": ID_A, "previous": [ID_A, ID_B]}, [URL_A], [URL_B]),
        ({"_id": "page", "image": {"url": "https://img.example.com/a.jpg"}}, ["https://img.example.com/a.jpg"], []),
        ({"_id": "p", "body": [{"_type": "block", "url": "https://x.example"}], "i": ID_A}, [URL_A], []),
        ({"_id": "p", "body": [{"_type": "block", "text": URL_B}]}, [URL_B], []),
        ({"_id": "p", "old": {"_id": ID_B, "url": f"{CDN}/old.jpg"}, "new": None}, [], [f"{CDN}/old.jpg"]),
    ],
)
def test_images_wherever_they_stand(document: dict[str, Any], urls: list[str], earlier: list[str]) -> None:
    event = found(document | PLACE)
    assert (list(event.urls), list(event.earlier_urls)) == (urls, earlier)


@pytest.mark.parametrize(
    ("document", "headers", "settings", "url"),
    [
        (PLACE, {}, {}, URL_A),
        (PLACE, {"sanity-project-id": "other", "sanity-dataset": "staging"}, {}, URL_A),
        ({}, {"sanity-project-id": "abc123de", "sanity-dataset": "production"}, {}, URL_A),
        ({"projectId": "o", "dataset": "o"}, {}, {"project_id": "abc123de", "dataset": "production"}, URL_A),
        (PLACE, {}, {"cdn_host": "img.example.com"}, URL_A.replace("cdn.sanity.io", "img.example.com")),
        ({"projectId": "../x", "dataset": "production"}, {}, {}, None),
        ({"projectId": "abc123de"}, {}, {}, None),
    ],
)
def test_where_a_dataset_s_images_are(
    document: dict[str, Any], headers: dict[str, str], settings: dict[str, Any], url: str | None
) -> None:
    event = found({"_id": ID_A} | document, headers, **settings)
    assert event.urls == ((url,) if url else ())
    assert event.content_hash


@pytest.mark.parametrize(
    ("document", "operation", "kind"),
    [
        ({"_id": ID_A}, "create", "created"),
        ({"_id": ID_A}, "update", "updated"),
        ({"_id": ID_A}, "delete", "deleted"),
        ({"_id": ID_A}, "invented", "updated"),
        ({"_id": ID_A}, None, "updated"),
        ({"_id": ID_A, "operation": "delete"}, "update", "deleted"),
        ({"_id": "p", "new": ID_A, "old": ID_B}, "update", "replaced"),
        ({"_id": "p", "new": ID_A, "old": ID_A}, "update", "updated"),
        ({"_id": "p", "new": ID_A, "old": ID_B}, "delete", "deleted"),
        ({"_id": "page"}, "delete", "deleted"),
        ({"_id": "drafts.page", "new": ID_A}, "update", "updated"),
    ],
)
def test_kinds(document: dict[str, Any], operation: str | None, kind: str) -> None:
    event = found(document | PLACE, {} if operation is None else {"sanity-operation": operation})
    assert event.kind.value == kind
    assert event.id == document["_id"].removeprefix("drafts.")


@pytest.mark.parametrize(
    ("document", "operation", "why"),
    [
        ({"_id": "page"}, "update", "the document has and references no image"),
        ({}, "delete", "the document has and references no image"),
        (
            {"_id": "page", "title": "image", "link": "https://x.example"},
            "create",
            "the document has and references no image",
        ),
        ({"_id": "drafts.page", "image": ID_A}, "delete", "a draft was published or discarded"),
    ],
)
def test_what_is_about_no_image(document: dict[str, Any], operation: str, why: str) -> None:
    notification = make("sanity").read(verified(json.dumps(document).encode(), {"sanity-operation": operation}))
    assert (notification.instead, notification.events) == (Ignored(why), ())


def test_what_else_an_event_says() -> None:
    document = {
        "_id": ID_A,
        "originalFilename": "a.jpg",
        "mimeType": "image/jpeg",
        "_updatedAt": "2026-11-24T11:00:00Z",
    }
    event = found(document | PLACE)
    assert (event.filename, event.mime_type, event.environment) == ("a.jpg", "image/jpeg", "production")
    assert event.occurred_at is not None
    later = found({"_id": ID_A}, {"sanity-transaction-time": "2026-11-24T12:00:00Z"}).occurred_at
    assert later is not None
    assert (later - event.occurred_at).total_seconds() == 3600


def test_an_event_without_an_id_is_known_by_its_images() -> None:
    first, second = found({"new": ID_A}), found({"new": ID_A, "more": 1})
    assert first.id == second.id != found({"new": ID_B}).id
    assert found({"old": ID_A}).id == first.id
    assert found({"new": ID_A}, {"sanity-document-id": "page"}).id == "page"


def test_the_idempotency_key_is_the_event_s_id() -> None:
    body = json.dumps({"_id": ID_A}).encode()
    assert make("sanity").read(verified(body, {"idempotency-key": "k"})).event_id == "k"
    assert make("sanity").read(verified(body)).event_id is None


def test_a_document_s_images_are_bounded() -> None:
    ids = [f"image-{number:040}-1x1-jpg" for number in range(MAX_IMAGES + 10)]
    assert len(Images.of(Place("p", "d"), ids).names) == MAX_IMAGES


@pytest.mark.parametrize(("key", "value"), [("project_id", "a/b"), ("dataset", "a?b"), ("cdn_host", "a/b")])
def test_settings_that_cannot_be_part_of_a_url(key: str, value: str) -> None:
    assert problem("sanity", **{key: value}) == (key, f"{value!r} cannot be part of an image's URL")
