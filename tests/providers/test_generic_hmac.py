"""An HMAC spelled out in relay.yaml: every part of it, and what is found wrong before anything is received."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import AUTHS, NOW, PATH, changed, make, problem, secrets, signed, without

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify
from service.settings.model import Hmac

BODY = b'{"id": 1}'
SECONDS = "1795521600"


def sender(tolerance: float | None = None, secret: tuple[str, ...] = ("fake-secret",), **scheme: Any) -> Provider:
    given: dict[str, Any] = {"header": "X-Signature", **scheme}
    return make("hmac", secrets=secrets(*secret), tolerance=tolerance, hmac=Hmac(**given))


def outcome(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    """The scheme that verified, or the reason for the refusal, `seconds` after the request was signed."""
    try:
        return verify(provider, request, NOW + timedelta(seconds=seconds)).scheme
    except Refused as error:
        return error.reason


def digest(message: bytes, algorithm: str = "sha256", key: bytes = b"fake-secret") -> bytes:
    """Computed another way than the provider does."""
    return hmac.new(key, message, getattr(hashlib, algorithm)).digest()


def post(signature: str, headers: Mapping[str, str] | None = None) -> RawRequest:
    return RawRequest.of("POST", PATH, {"X-Signature": signature, **(headers or {})}, BODY)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_algorithms(algorithm: Any) -> None:
    provider = sender(algorithm=algorithm)
    assert outcome(provider, post(digest(BODY, algorithm).hex())) == f"hmac-{algorithm}"
    assert outcome(provider, post(digest(BODY, "sha256" if algorithm != "sha256" else "sha1").hex())) == (
        "signature_mismatch"
    )


@pytest.mark.parametrize(
    ("encoding", "spelled"),
    [
        ("hex", digest(BODY).hex()),
        ("upper-hex", digest(BODY).hex().upper()),
        ("base64", base64.b64encode(digest(BODY)).decode()),
        ("base64url", base64.urlsafe_b64encode(digest(BODY)).decode().rstrip("=")),
    ],
)
def test_each_encoding_has_one_spelling(encoding: Any, spelled: str) -> None:
    provider = sender(encoding=encoding, prefix="v1=")
    assert outcome(provider, post(f"v1={spelled}")) == "hmac-sha256"
    for wrong in (
        spelled, f"V1={spelled}", f"v1= {spelled}", f"v1={spelled}=", f"v1={spelled}\n", f"v1={spelled.swapcase()}",
        f"v1={spelled[:-1]}", "v1=", "v1=\u20ac"
    ):  # fmt: skip
        assert outcome(provider, post(wrong)) in ("signature_mismatch", "header_malformed")
    assert outcome(provider, post("")) == "signature_missing"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{body}", BODY),
        ("{body}{body}", BODY + BODY),
        ("v0:{timestamp}:{body}", f"v0:{SECONDS}:".encode() + BODY),
        ("{method}\n{path}\n{body}", b"POST\n/hooks/hook\n" + BODY),
        ("{header:X-Event-Id}.{body}", b"sample." + BODY),
        ('{{"b":{body}}}é', b'{"b":' + BODY + "}é".encode()),
    ],
)
def test_what_is_signed(template: str, message: bytes) -> None:
    provider = sender(signed=template, timestamp_header="X-Time" if "{timestamp}" in template else None)
    request = provider.sign(Sample(BODY), PATH, NOW)
    assert dict(request.headers)["x-signature"] == digest(message).hex()
    assert outcome(provider, request) == "hmac-sha256"
    assert outcome(provider, changed(request, body=BODY + b" ")) == "signature_mismatch"


@pytest.mark.parametrize(
    ("template", "header"), [("{header:X-Event-Id}.{body}", "x-event-id"), ("{timestamp}.{body}", "x-time")]
)
def test_a_signed_header_counts(template: str, header: str) -> None:
    provider = sender(signed=template, timestamp_header="X-Time" if "{timestamp}" in template else None)
    request = provider.sign(Sample(BODY), PATH, NOW)
    assert outcome(provider, changed(request, {header: "1795521601"})) == "signature_mismatch"
    assert outcome(provider, without(request, header)) in ("signed_header_missing", "signature_missing")


def test_method_and_path_count() -> None:
    provider = sender(signed="{method} {path} {body}")
    request = provider.sign(Sample(BODY), PATH, NOW)
    assert outcome(provider, changed(request, path=f"{PATH}?a=1")) == "signature_mismatch"
    assert outcome(provider, RawRequest.of("PUT", PATH, request.headers, BODY)) == "signature_mismatch"
    assert outcome(provider, changed(request, path="/\u20ac")) == "header_malformed"


@pytest.mark.parametrize(
    ("form", "written"), [("s", SECONDS), ("ms", f"{SECONDS}000"), ("iso", "2026-11-24T12:00:00.000Z")]
)
@pytest.mark.parametrize(
    ("seconds", "usual", "patient"),
    [
        (300, "hmac-sha256", "hmac-sha256"),
        (-300, "hmac-sha256", "hmac-sha256"),
        (301, "timestamp_too_old", "hmac-sha256"),
        (-301, "timestamp_too_new", "hmac-sha256"),
    ],
)
def test_the_time_counts_both_ways(form: Any, written: str, seconds: float, usual: str, patient: str) -> None:
    scheme = {"signed": "{timestamp}.{body}", "timestamp_header": "X-Time", "timestamp_format": form}
    request = sender(**scheme).sign(Sample(BODY), PATH, NOW)
    assert dict(request.headers)["x-time"] == written
    assert outcome(sender(**scheme), request, seconds) == usual
    assert outcome(sender(tolerance=3600, **scheme), request, seconds) == patient
    assert outcome(sender(**scheme), changed(request, {"x-time": f"{written} "})) == "timestamp_malformed"


def test_without_a_time_there_is_none() -> None:
    assert verify(sender(), post(digest(BODY).hex()), NOW).signed_at is None


@pytest.mark.parametrize(
    ("encoding", "spelled"), [("text", "\u00e9key"), ("hex", "c3a96b6579"), ("base64", "w6lrZXk=")]
)
def test_keys_in_every_spelling(encoding: Any, spelled: str) -> None:
    provider = sender(secret=("00", spelled) if encoding == "hex" else ("AAAA", spelled), key_encoding=encoding)
    assert outcome(provider, post(digest(BODY, key="\u00e9key".encode()).hex())) == "hmac-sha256"


@pytest.mark.parametrize(
    ("scheme", "key", "words"),
    [
        ({"header": "X Signature"}, "hmac.header", "no header's name"),
        ({"timestamp_header": "X:Time", "signed": "{timestamp}{body}"}, "hmac.timestamp_header", "no header's name"),
        ({"signed": "constant"}, "hmac.signed", "without {body}"),
        ({"signed": "{timestamp}.{body}"}, "hmac.timestamp_header", "is missing"),
        ({"timestamp_header": "X-Time"}, "hmac.signed", "without {timestamp}"),
        ({"signed": "{header:x-signature}{body}"}, "hmac.signed", "cannot sign itself"),
        ({"signed": "{body"}, "hmac.signed", "is no template"),
        ({"signed": "body}"}, "hmac.signed", "is no template"),
        ({"signed": "{body}{}"}, "hmac.signed", "there is no {}"),
        ({"signed": "{body}{url}"}, "hmac.signed", "there is no {url}"),
        ({"signed": "{body!r}"}, "hmac.signed", "there is no {body}"),
        ({"signed": "{body:x}"}, "hmac.signed", "a header is written"),
        ({"signed": "{body}{header}"}, "hmac.signed", "a header is written"),
        ({"signed": "{body}{header:a b}"}, "hmac.signed", "a header is written"),
        ({"tolerance": 60}, "tolerance", "no time is signed"),
        ({"key_encoding": "hex"}, "secrets", "one is not hex"),
        ({"key_encoding": "base64"}, "secrets", "one is not base64"),
        ({"key_encoding": "hex", "secret": (" ",)}, "secrets", "one is not hex"),
    ],
)
def test_what_is_found_wrong_at_the_start(scheme: Mapping[str, Any], key: str, words: str) -> None:
    given: dict[str, Any] = {"header": "X-Signature", **scheme}
    secret, tolerance = given.pop("secret", ("fake-secret",)), given.pop("tolerance", None)
    found = problem("hmac", secrets=secrets(*secret), tolerance=tolerance, hmac=Hmac(**given))
    assert found[0] == key
    assert words in found[1]


def test_a_source_says_how_it_is_signed_and_nothing_else() -> None:
    assert problem("hmac", hmac=None)[0] == "hmac"
    assert problem("hmac", auth=AUTHS["capability"]) == ("auth", "hmac does not offer capability (offered: none)")


def test_the_first_secret_signs_and_every_one_verifies() -> None:
    request = signed(make("hmac", secrets=secrets("fake-old")))
    assert outcome(make("hmac", secrets=secrets("fake-new", "fake-old")), request) == "hmac-sha256"
    assert outcome(make("hmac", secrets=secrets("fake-new")), request) == "signature_mismatch"
