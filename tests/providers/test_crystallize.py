"""Crystallize: a token bound to URL, method and body, and the assets of whatever query is configured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from support.senders import AUTHS, NAME, NOW, PATH, changed, make, problem, secrets, signed, verified
from support.vectors import agrees, cases, verdict

from service.domain.clock import to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.json_web_tokens import Token, token_of_secret
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Source

HEADER = "x-crystallize-signature"
SECRET = b"fake-crystallize-secret"
URL = "https://media.crystallize.com/acme/images/1/hero.jpg"
SECONDS = to_ms(NOW) // 1000


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def signed_with(secret: bytes = SECRET, **claims: Any) -> RawRequest:
    """The sample with a token of other claims."""
    request = signed(make("crystallize"))
    usual = Token.parse(dict(request.headers)[HEADER]).claims
    return changed(request, {HEADER: token_of_secret({**usual, **claims}, secret)})


def event(document: Any, **settings: Any) -> AssetEvent:
    (found,) = make("crystallize", **settings).read(verified(json.dumps(document).encode())).events
    return found


@pytest.mark.parametrize("case", cases("crystallize"))
def test_vectors(case: Mapping[str, Any]) -> None:
    source = Source(provider="crystallize", secrets=secrets(case["secret"]), registered_url=case["url"])
    assert agrees(said := verdict(build(NAME, source), case, NOW), case), said


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, ""),
        ({"aud": "frontend", "iss": None}, ""),
        ({"hmac": "0" * 64}, "signature_mismatch"),
        ({"hmac": None}, "signature_mismatch"),
        ({"hmac": "é"}, "signature_mismatch"),
        ({"iat": SECONDS - 3000}, ""),
        ({"iat": SECONDS + 300}, ""),
        ({"iat": SECONDS + 301}, "timestamp_too_new"),
        ({"exp": SECONDS - 299}, ""),
        ({"exp": SECONDS - 300}, "timestamp_too_old"),
        ({"exp": SECONDS + 3000}, ""),
        ({"iat": str(SECONDS)}, "timestamp_malformed"),
        ({"iat": float(SECONDS)}, "timestamp_malformed"),
        ({"exp": None}, "timestamp_malformed"),
        ({"exp": -1}, "timestamp_malformed"),
        ({"exp": 2**60}, "timestamp_malformed"),
        ({"exp": True}, "timestamp_malformed"),
    ],
)
def test_claims(claims: dict[str, Any], expected: str) -> None:
    assert reason(make("crystallize"), signed_with(**claims)) == expected


def test_another_secret() -> None:
    assert reason(make("crystallize"), signed_with(b"fake-other")) == "signature_mismatch"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "signature_missing"),
        ("a.b", "token_malformed"),
        ("e30.e30.AAAA", "token_algorithm_refused"),
        ("eyJhbGciOiJub25lIn0.e30.", "token_algorithm_refused"),
    ],
)
def test_tokens_that_are_refused(value: str, expected: str) -> None:
    assert reason(make("crystallize"), changed(signed(make("crystallize")), {HEADER: value})) == expected


def test_url_method_and_body_are_signed() -> None:
    provider = make("crystallize")
    request = signed(provider)
    assert reason(provider, RawRequest.of("PUT", PATH, request.headers, request.body)) == "signature_mismatch"
    assert reason(provider, changed(request, body=b'{"asset":{}}')) == "signature_mismatch"
    assert reason(provider, changed(request, body=b"")) == "body_malformed"
    assert reason(provider, changed(request, body=b" " + request.body)) == ""
    other = make("crystallize", registered_url="https://relay.example.com/hooks/hook")
    assert reason(other, request) == "signature_mismatch"


def test_numbers_and_keys_are_written_as_javascript_does() -> None:
    provider = make("crystallize")
    request = provider.sign(Sample(b'{"b": 1.0, "1": 1e21, "a": "\\u00e9"}'), PATH, NOW)
    text = (
        '{"url":"https://relay.example.com/hooks/hook?event=replaced","method":"POST","body":{"1":1e+21,"b":1,"a":"é"}}'
    )
    claims = Token.parse(dict(request.headers)[HEADER]).claims
    assert claims["hmac"] == sha256(text.encode()).hexdigest()
    assert reason(provider, request) == ""


@pytest.mark.parametrize(
    ("settings", "key", "why"),
    [
        ({"registered_url": None}, "registered_url", "exactly as the sender has it"),
        ({"registered_url": "/hooks/hook"}, "registered_url", "not a webhook's URL"),
        ({"secrets": []}, "secrets", "give the signing secret"),
    ],
)
def test_settings_that_do_not_suit(settings: dict[str, Any], key: str, why: str) -> None:
    found, message = problem("crystallize", **settings)
    assert found == key
    assert why in message


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("?event=deleted", AssetKind.DELETED),
        ("?event=delete", AssetKind.DELETED),
        ("?x=1&event=created", AssetKind.CREATED),
        ("?event=invented", AssetKind.UPDATED),
        ("?event", AssetKind.UPDATED),
        ("", AssetKind.UPDATED),
    ],
)
def test_the_url_says_what_happened(query: str, kind: AssetKind) -> None:
    url = f"https://relay.example.com/hooks/hook{query}"
    assert event({"asset": {"id": "a1"}}, registered_url=url).kind is kind


def test_behind_a_credential_the_url_may_be_left_out() -> None:
    assert event({"asset": {"id": "a1"}}, auth=AUTHS["capability"], registered_url=None).kind is AssetKind.UPDATED


def test_the_fields_of_an_asset() -> None:
    asset = {"id": "a1", "key": "acme/images/1/hero.jpg", "url": URL, "mimeType": "image/jpeg"}
    found = event({"data": {"asset": asset | {"updatedAt": "2026-11-24T11:00:00Z"}}})
    assert (found.id, found.urls, found.mime_type) == ("a1", (URL,), "image/jpeg")
    assert (found.bucket, found.key) == ("acme", "images/1/hero.jpg")
    assert found.occurred_at
    assert found.occurred_at.hour == 11


def test_a_key_becomes_a_url() -> None:
    document = {"asset": {"key": "acme/images/1/red hero.jpg"}}
    found = event(document, bases={"acme": "https://media.crystallize.com/acme/"})
    assert (found.id, found.urls) == (
        "acme/images/1/red hero.jpg",
        ("https://media.crystallize.com/acme/images/1/red%20hero.jpg",),
    )
    assert event(document).urls == ()


def test_an_asset_without_a_name() -> None:
    assert event({"picture": URL}).id == URL
    assert len(event({"anything": 1}).id) == 32


def test_a_body_that_is_no_object() -> None:
    with pytest.raises(Unreadable):
        make("crystallize").read(verified(b"[]"))
