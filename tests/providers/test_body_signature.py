"""Signatures of the body alone: base64 and hex, with and without a prefix, each in its one spelling."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.senders import NOW, PATH, SECRETS, changed, make, secrets, signed

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify

HEADERS = {
    "amplience": "x-amplience-webhook-signature",
    "storyblok": "webhook-signature",
    "uploadthing": "x-uploadthing-signature",
}


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def in_base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("name", "algorithm", "prefix", "hexadecimal"),
    [
        ("amplience", "sha256", "", False),
        ("storyblok", "sha1", "", True),
        ("uploadthing", "sha256", "hmac-sha256=", True),
    ],
)
@given(body=st.binary(max_size=80))
def test_what_is_signed_is_the_body(name: str, algorithm: str, prefix: str, hexadecimal: bool, body: bytes) -> None:
    provider = make(name)
    request = provider.sign(Sample(body), PATH, NOW)
    digest = hmac.digest(SECRETS[name].encode(), body, algorithm)
    assert dict(request.headers)[HEADERS[name]] == prefix + (digest.hex() if hexadecimal else in_base64(digest))
    assert reason(provider, request) == ""
    assert reason(provider, changed(request, body=body + b" ")) == "signature_mismatch"
    assert reason(make(name, secrets=secrets("fake-other")), request) == "signature_mismatch"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("amplience", "", "signature_missing"),
        ("amplience", "AAAA", "signature_mismatch"),
        ("amplience", "AAA", "signature_malformed"),
        ("amplience", "AAB=", "signature_malformed"),
        ("amplience", " AAAA", "signature_malformed"),
        ("amplience", "AA-_", "signature_malformed"),
        ("storyblok", "0" * 40, "signature_mismatch"),
        ("storyblok", "0" * 64, "signature_malformed"),
        ("storyblok", "A" * 40, "signature_malformed"),
        ("uploadthing", "hmac-sha256=" + "0" * 64, "signature_mismatch"),
        ("uploadthing", "hmac-sha256=", "signature_malformed"),
        ("uploadthing", "HMAC-SHA256=" + "0" * 64, "signature_malformed"),
        ("uploadthing", "0" * 64, "signature_malformed"),
    ],
)
def test_one_spelling_alone_is_right(name: str, value: str, expected: str) -> None:
    provider = make(name)
    assert reason(provider, changed(signed(provider), {HEADERS[name]: value})) == expected
