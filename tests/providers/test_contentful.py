"""Contentful: the canonical request, what its topics mean, and what an asset's payload gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NOW, PATH, SECRETS, changed, make, secrets, signed, source, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.contentful import Contentful, canonical_request
from service.providers.signatures import hmac_sha256
from service.providers.verification import verify

TOPIC = "x-contentful-topic"
SIGNED = "x-contentful-signed-headers"
BASE = "//images.ctfassets.net/space/asset"


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def asset(files: Mapping[str, Any] | None = None, **sys: Any) -> dict[str, Any]:
    fields = {} if files is None else {"fields": {"file": dict(files)}}
    return {"sys": {"type": "Asset", "id": "a1"} | sys, **fields}


def event(entity: Any, topic: str | None = "ContentManagement.Asset.publish", **headers: str) -> AssetEvent:
    named = {} if topic is None else {TOPIC: topic}
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    (found,) = make("contentful").read(verified(json.dumps(entity).encode(), named | more)).events
    return found


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/hooks/cms", "/hooks/cms"),
        ("/hooks/a%20b", "/hooks/a%2520b"),
        ("/hooks/é", "/hooks/%C3%A9"),
        ("/hooks?", "/hooks"),
        ("/hooks?tenant=acme", "/hooks?tenant%253Dacme"),
        ("/hooks?a?b", "/hooks?a"),
        ("/h?a'(b)", "/h?a'(b)"),
        ("/h#x;,", "/h#x;,"),
    ],
)
def test_the_canonical_path_is_that_of_the_vendor_s_library(path: str, canonical: str) -> None:
    found = canonical_request("POST", path, {"b": " 2 ", "a": "1"}, b"{}\xff")
    assert found == f"POST\n{canonical}\na:1;b:2\n".encode() + b"{}\xff"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({SIGNED: "x-contentful-signed-headers"}, "signed_headers_incomplete"),
        ({SIGNED: "x-contentful-timestamp"}, "signed_headers_incomplete"),
        ({SIGNED: "x-contentful-signed-headers,x-contentful-timestamp,absent"}, "signed_header_missing"),
        ({SIGNED: "x-contentful-signed-headers,x-contentful-timestamp,a b"}, "signed_headers_malformed"),
        ({SIGNED: "x-contentful-signed-headers,x-contentful-timestamp,"}, "signed_headers_malformed"),
        ({SIGNED: "x-contentful-signed-headers,x-contentful-timestamp,a:b"}, "signed_headers_malformed"),
        ({SIGNED: ""}, "signature_missing"),
        ({"x-contentful-timestamp": "soon"}, "timestamp_malformed"),
        ({"x-contentful-signature": "F" * 64}, "signature_malformed"),
        ({"x-contentful-signature": "f" * 40}, "signature_malformed"),
        ({"x-contentful-signature": "f" * 64}, "signature_mismatch"),
        ({TOPIC: "ContentManagement.Asset.delete"}, "signature_mismatch"),
        ({"x-unsigned": "anything"}, ""),
    ],
)
def test_headers_that_are_refused(headers: Mapping[str, str], expected: str) -> None:
    provider = make("contentful")
    assert reason(provider, changed(signed(provider), headers)) == expected


def test_names_of_signed_headers_may_be_spelled_in_any_case() -> None:
    """The library lowers and trims them; their order is the sender's own."""
    provider = make("contentful")
    request = signed(provider)
    listed = dict(request.headers)[SIGNED]
    spelled = ", ".join(reversed(listed.title().split(",")))
    assert reason(provider, changed(request, {SIGNED: spelled})) == "signature_mismatch"  # the list itself is signed
    headers = dict(request.headers) | {SIGNED: spelled}
    names = listed.split(",")
    canonical = canonical_request("POST", PATH, {name: headers[name] for name in names}, request.body)
    headers["x-contentful-signature"] = hmac_sha256(SECRETS["contentful"].encode(), canonical).hex()
    assert reason(provider, changed(request, headers)) == ""


def test_a_header_the_signature_does_not_cover_is_not_believed() -> None:
    provider = make("contentful")
    body = json.dumps(asset({"en": {"url": f"{BASE}/f/a.jpg"}})).encode()
    request = provider.sign(Sample(body), PATH, NOW)
    forged = changed(request, {TOPIC: "ContentManagement.Asset.delete", "x-contentful-idempotency-key": "forged"})
    notification = provider.read(verify(provider, forged, NOW))
    assert notification.event_id is None
    assert [event.kind for event in notification.events] == [AssetKind.UPDATED]


def test_a_credential_vouches_for_all_headers() -> None:
    provider = make("contentful", auth=AUTHS["basic"], secrets=secrets("fake-password"))
    request = provider.sign(Sample(json.dumps(asset()).encode(), {TOPIC: "ContentManagement.Asset.delete"}), PATH, NOW)
    (event,) = provider.read(verify(provider, request, NOW)).events
    assert event.kind is AssetKind.DELETED


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("ContentManagement.Asset.create", "created"),
        ("ContentManagement.Asset.save", "unknown"),
        ("ContentManagement.Asset.auto_save", "unknown"),
        ("ContentManagement.Asset.publish", "updated"),
        ("ContentManagement.Asset.unpublish", "unpublished"),
        ("ContentManagement.Asset.archive", "unpublished"),
        ("ContentManagement.Asset.unarchive", "restored"),
        ("ContentManagement.Asset.delete", "deleted"),
        ("ContentManagement.Asset.invented", "unknown"),
        (None, "updated"),
    ],
)
def test_topics(topic: str | None, kind: str) -> None:
    found = event(asset({"en": {"url": f"{BASE}/f/a.jpg"}}), topic, **{SIGNED: TOPIC})
    assert (found.kind.value, found.id) == (kind, "a1")


@pytest.mark.parametrize(
    ("entity", "topic", "why"),
    [
        (asset(), "ContentManagement.Entry.publish", "topic ContentManagement.Entry.publish is not about an asset"),
        (asset(), "nonsense", "topic nonsense is not about an asset"),
        (asset(type="Entry"), None, "about an entity of type Entry, not an asset"),
        ({}, None, "not about an asset: the body has no sys.type"),
    ],
)
def test_what_is_not_about_an_asset(entity: Any, topic: str | None, why: str) -> None:
    headers = {} if topic is None else {TOPIC: topic}
    found = make("contentful").read(verified(json.dumps(entity).encode(), headers))
    assert (found.instead, found.events) == (Ignored(why), ())


def test_a_tombstone_has_no_fields() -> None:
    found = event(asset(type="DeletedAsset", deletedAt="2026-11-24T11:00:00Z"), None)
    assert (found.kind, found.urls, found.content_hash) == (AssetKind.DELETED, (), None)
    assert found.occurred_at is not None
    assert found.occurred_at.hour == 11


def test_every_locale_s_file() -> None:
    found = event(
        asset(
            {
                "en-US": {"url": f"{BASE}/1/a.jpg", "fileName": "a.jpg", "contentType": "image/jpeg"},
                "de-DE": {"url": f"https:{BASE}/2/a.jpg"},
                "fr": {"url": f"{BASE}/1/a.jpg"},
                "it": {"upload": "https://elsewhere.example/raw.jpg"},
                "es": {"url": "/relative.jpg"},
                "pt": None,
            },
            environment={"sys": {"id": "master"}},
            updatedAt="2026-11-24T11:00:00Z",
        )
    )
    assert found.urls == (f"https:{BASE}/1/a.jpg", f"https:{BASE}/2/a.jpg")
    assert (found.filename, found.mime_type, found.environment) == ("a.jpg", "image/jpeg", "master")
    assert found.locale is None
    assert found.content_hash == "\n".join(found.urls)


def test_one_locale_is_named() -> None:
    found = event(asset({"en-US": {"url": f"{BASE}/1/a.jpg"}}), x_contentful_event_datetime="2026-11-24T10:00:00Z")
    assert found.locale == "en-US"
    assert found.occurred_at is not None
    assert found.occurred_at.hour == 10


@pytest.mark.parametrize("entity", [{}, {"sys": {}}, {"sys": {"id": ""}}, {"sys": {"id": 1}}])
def test_an_asset_without_an_id_is_unreadable(entity: Any) -> None:
    with pytest.raises(Unreadable, match=r"no sys\.id"):
        event(entity)


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        ({}, []),
        ({"secrets": secrets("short")}, ["Contentful's signing secrets have 64 characters; one of these has not"]),
        ({"secrets": secrets("short"), "auth": AUTHS["basic"]}, []),
    ],
)
def test_a_secret_of_another_length_is_warned_of(settings: Mapping[str, Any], warnings: list[str]) -> None:
    assert Contentful.warnings(source("contentful", **settings)) == warnings
