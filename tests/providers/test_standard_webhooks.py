"""Standard Webhooks and Svix: keys, several signatures, and payloads of the senders' own making."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.senders import (
    AUTHS,
    NOW,
    PATH,
    SECRETS,
    changed,
    ed25519_key,
    make,
    private_pem,
    problem,
    public_pem,
    rsa_key,
    secrets,
    signed,
    verified,
)

from service.domain.errors import CommandFailed, Refused
from service.domain.events import AssetEvent
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.standard_webhooks import MAX_SIGNATURES
from service.providers.verification import verify

SIGNATURE = "webhook-signature"
RAW_PUBLIC = ed25519_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
RAW_PRIVATE = ed25519_key().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
WHPK = "whpk_" + base64.b64encode(RAW_PUBLIC).decode()
JWKS = json.dumps(
    {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(RAW_PUBLIC).decode().rstrip("=")}]}
)


def outcome(provider: Provider, request: RawRequest) -> str:
    """The scheme that verified, or the reason for the refusal."""
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def event(payload: Any, headers: Mapping[str, str] | None = None) -> AssetEvent:
    (found,) = make("standard-webhooks").read(verified(json.dumps(payload).encode(), headers)).events
    return found


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("{good}", "standard-webhooks-v1"),
        ("v1,AAAA {good}", "standard-webhooks-v1"),
        ("v1,%%% nonsense v1 v9,x  {good}", "standard-webhooks-v1"),
        ("{good} " * (MAX_SIGNATURES - 1) + "{good}", "standard-webhooks-v1"),
        ("{good} " * MAX_SIGNATURES + "{good}", "signature_malformed"),
        ("v1,AAAA", "signature_mismatch"),
        ("v2,{bare}", "signature_mismatch"),
        ("V1,{bare}", "signature_mismatch"),
        ("{bare}", "signature_mismatch"),
        ("{good},", "signature_mismatch"),
        ("v1a,{bare}", "signature_mismatch"),
        ("", "signature_missing"),
    ],
)
def test_one_good_signature_of_several_is_enough(entries: str, expected: str) -> None:
    provider = make("standard-webhooks")
    request = signed(provider)
    good = dict(request.headers)[SIGNATURE]
    given = entries.format(good=good, bare=good.removeprefix("v1,"))
    assert outcome(provider, changed(request, {SIGNATURE: given})) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"webhook-id": "other"}, "signature_mismatch"),
        ({"webhook-id": "a\nb"}, "signature_malformed"),
        ({"webhook-id": "é"}, "signature_malformed"),
        ({"webhook-id": "a" * 513}, "signature_malformed"),
        ({"webhook-id": ""}, "signature_missing"),
        ({"webhook-timestamp": "1795521600.9"}, "timestamp_malformed"),
        ({"webhook-timestamp": " 1795521600"}, "timestamp_malformed"),
        ({"webhook-timestamp": "1795521600abc"}, "timestamp_malformed"),
        ({"webhook-timestamp": ""}, "signature_missing"),
        # Svix's names come first where both are there, and then all three are needed.
        ({"svix-signature": "v1,AAAA"}, "signature_missing"),
        ({"svix-signature": "v1,AAAA", "svix-id": "m", "svix-timestamp": "1795521600"}, "signature_mismatch"),
        ({"svix-signature": "", "svix-id": "m"}, "standard-webhooks-v1"),
    ],
)
def test_headers(headers: Mapping[str, str], expected: str) -> None:
    provider = make("standard-webhooks")
    assert outcome(provider, changed(signed(provider), headers)) == expected


def test_svix_s_own_names() -> None:
    provider = make("standard-webhooks")
    request = provider.sign(Sample(b"{}", {"Svix-Id": "msg_1"}), PATH, NOW)
    assert {name for name, _ in request.headers} == {"svix-id", "svix-timestamp", "svix-signature"}
    assert outcome(provider, request) == "standard-webhooks-v1"
    assert provider.read(verify(provider, request, NOW)).event_id == "msg_1"


@pytest.mark.parametrize(
    "settings",
    [
        {"secrets": [], "public_keys": secrets(WHPK)},
        {"secrets": [], "public_keys": secrets(public_pem(ed25519_key()))},
        {"secrets": [], "public_keys": secrets(JWKS)},
        {"secrets": secrets(WHPK)},
        {"secrets": secrets(SECRETS["standard-webhooks"]), "public_keys": secrets(WHPK)},
    ],
)
@pytest.mark.parametrize(
    "key",
    [
        private_pem(ed25519_key()),
        b"whsk_" + base64.b64encode(RAW_PRIVATE),
        b"whsk_" + base64.b64encode(RAW_PRIVATE + RAW_PUBLIC) + b"\n",
    ],
    ids=["PEM", "whsk", "whsk of both halves"],
)
def test_ed25519_in_every_spelling_of_its_keys(settings: Mapping[str, Any], key: bytes) -> None:
    provider = make("standard-webhooks", **settings)
    request = provider.sign(Sample(b"{}"), PATH, NOW, key)
    assert outcome(provider, request) == "standard-webhooks-v1a"
    assert outcome(provider, changed(request, body=b"[]")) == "signature_mismatch"
    value = dict(request.headers)[SIGNATURE]
    assert outcome(provider, changed(request, {SIGNATURE: value.replace("v1a,", "v1,")})) == "signature_mismatch"
    assert outcome(make("standard-webhooks"), request) == "signature_mismatch"


@pytest.mark.parametrize("spelling", ["whsec_{}", "{}", "whsec_{}==", "{}=="])
def test_a_secret_s_prefix_and_padding_may_be_lost(spelling: str) -> None:
    bare = base64.b64encode(b"fake-fake-fake-key").decode().rstrip("=")
    padded = make("standard-webhooks", secrets=secrets("whsec_" + base64.b64encode(b"fake-fake-fake-key").decode()))
    written = spelling.format(bare) if "==" not in spelling else spelling.format(bare).rstrip("=")
    assert outcome(make("standard-webhooks", secrets=secrets(written)), signed(padded)) == "standard-webhooks-v1"


@pytest.mark.parametrize(
    ("settings", "key", "words"),
    [
        ({"secrets": secrets("not base64!")}, "secrets", "the key is not base64"),
        ({"secrets": secrets("whsec_")}, "secrets", "the key is not base64"),
        ({"secrets": secrets("whsk_AAAA")}, "secrets", "give its public half"),
        ({"secrets": secrets("whpk_AAAA")}, "secrets", "the key is not base64"),
        ({"public_keys": secrets("whpk_%%%")}, "public_keys", "the key is not base64"),
        ({"public_keys": secrets("nonsense")}, "public_keys", "not an Ed25519 public key"),
        ({"public_keys": secrets(public_pem(rsa_key()))}, "public_keys", "not an Ed25519 public key"),
        ({"secrets": []}, "secrets", "give the signing secret here"),
    ],
)
def test_settings_that_do_not_suit(settings: Mapping[str, Any], key: str, words: str) -> None:
    found = problem("standard-webhooks", **settings)
    assert found[0] == key
    assert words in found[1]


def test_a_capability_s_secret_needs_no_base64() -> None:
    assert make("standard-webhooks", auth=AUTHS["capability"], secrets=secrets("no base64!")).credential is not None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "give the private one"),
        (b"whsk_%%%", "no whsk_"),
        (b"whsk_AAAA", "no whsk_"),
        (b"nonsense", "not a private key"),
        (private_pem(rsa_key()), "not an Ed25519 private key"),
    ],
)
def test_a_source_of_public_keys_alone_cannot_sign(key: bytes | None, words: str) -> None:
    provider = make("standard-webhooks", secrets=[], public_keys=secrets(WHPK))
    with pytest.raises(CommandFailed, match=words):
        provider.sign(Sample(b"{}"), PATH, NOW, key)


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("asset.created", "created"),
        ("asset.uploaded", "updated"),
        ("asset.updated", "updated"),
        ("asset.published", "updated"),
        ("asset.replaced", "replaced"),
        ("a.b.renamed", "renamed"),
        ("deleted", "deleted"),
        ("x.unpublished", "unpublished"),
        ("x.restored", "restored"),
        ("asset.deleted.x", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ],
)
def test_the_last_part_of_the_type_tells_the_kind(event_type: Any, kind: str) -> None:
    assert event({"type": event_type, "data": {"id": "1"}}).kind.value == kind


@pytest.mark.parametrize(
    ("payload", "identity", "urls", "earlier"),
    [
        ({"data": {"id": "a", "url": "https://x/1"}}, "a", ("https://x/1",), ()),
        (
            {"id": 7, "urls": ["https://x", {"url": "https://y"}, {"url": 3}, 4, "https://x"]},
            "7",
            ("https://x", "https://y"),
            (),
        ),
        (
            {"data": {"asset_id": "a", "old_url": "https://x", "previous_urls": ["https://y"]}},
            "a",
            (),
            ("https://x", "https://y"),
        ),
        ({"data": {"media_id": "a", "url": "https://x/1", "old_url": "https://x/1"}}, "a", ("https://x/1",), ()),
        ({"data": {"id": "a", "url": None, "old_url": None}}, "a", (), ()),
        ({"data": []}, "msg_1", (), ()),
        ([], "msg_1", (), ()),
        ("text", "msg_1", (), ()),
    ],
)
def test_the_asset_in_a_payload(payload: Any, identity: str, urls: tuple[str, ...], earlier: tuple[str, ...]) -> None:
    found = event(payload, {"webhook-id": "msg_1"})
    assert (found.id, found.urls, found.earlier_urls) == (identity, urls, earlier)


def test_without_an_id_the_urls_identify_it() -> None:
    first = event({"url": "https://x/1"})
    assert first.id == event({"url": "https://x/1", "more": 1}).id != event({"url": "https://x/2"}).id


def test_without_anything_the_body_identifies_it() -> None:
    assert event({}).id != event({"a": 1}).id
    assert event({}).id == event({}).id


def test_what_else_a_payload_may_say() -> None:
    data = {
        "bucket": "b",
        "key": "k",
        "fileName": "a.jpg",
        "contentType": "image/jpeg",
        "environment": "e",
        "locale": "de",
    }
    found = event({"type": "x", "timestamp": "2026-11-24T11:00:00Z", "data": data | {"version": 3}})
    assert (found.bucket, found.key, found.filename, found.mime_type) == ("b", "k", "a.jpg", "image/jpeg")
    assert (found.environment, found.locale, found.content_hash) == ("e", "de", "3")
    assert found.occurred_at is not None
    assert event({"etag": "e1", "version": 3}).content_hash == "e1"
    assert event({"filename": 3, "file_name": "", "fileName": "c.jpg"}).filename == "c.jpg"
    assert event({"fileName": "c.jpg", "file_name": "b.jpg"}).filename == "b.jpg"
