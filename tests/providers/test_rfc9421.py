"""HTTP Message Signatures: components, digests of the body, times, algorithms, and the headers' grammar."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import (
    AUTHS,
    NAME,
    NOW,
    PATH,
    SECRETS,
    changed,
    ed25519_key,
    make,
    private_pem,
    problem,
    public_pem,
    secrets,
    signed,
    without,
)
from support.vectors import cases, verdict

from service.domain.clock import parse_moment
from service.domain.errors import CommandFailed, Refused
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.message_signature import MAX_SIGNATURES
from service.providers.registry import build
from service.providers.signatures import hmac_sha256
from service.providers.verification import verify
from service.settings.model import Source

BODY = b'{"id": 1}'
SECONDS = 1_795_521_600


def outcome(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    """The scheme that verified, or the reason for the refusal, `seconds` after the request was signed."""
    try:
        return verify(provider, request, NOW + timedelta(seconds=seconds)).scheme
    except Refused as error:
        return error.reason


def digests(*names: str, body: bytes = BODY) -> str:
    found = {"sha-256": hashlib.sha256(body), "sha-512": hashlib.sha512(body), "md5": hashlib.sha256(b"other")}
    return ", ".join(f"{name}=:{base64.b64encode(found[name].digest()).decode()}:" for name in names)


def hand_made(
    lines: Mapping[str, str],
    parameters: str = f";created={SECONDS}",
    headers: Mapping[str, str] | None = None,
    path: str = PATH,
    digest: str | None = None,
) -> RawRequest:
    """A request whose signature base is written out here, line by line."""
    digest = digests("sha-256") if digest is None else digest
    lines = {name: digest if value == "DIGEST" else value for name, value in lines.items()}
    given = "(" + " ".join(f'"{name}"' for name in lines) + ")" + parameters
    base = "\n".join([*(f'"{name}": {value}' for name, value in lines.items()), f'"@signature-params": {given}'])
    signature = base64.b64encode(hmac_sha256(base64.b64decode(SECRETS["rfc9421"]), base.encode())).decode()
    own = {"signature-input": f"sig={given}", "signature": f"sig=:{signature}:", "content-digest": digest}
    return RawRequest.of("POST", path, {**own, "host": "Hooks.example.com", **(headers or {})}, BODY)


DIGEST = {"content-digest": "DIGEST"}
ENOUGH = {"content-digest": "DIGEST", "@method": "POST", "@path": PATH}
URL = f"https://hooks.example.com{PATH}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (ENOUGH, "rfc9421-hmac-sha256"),
        (ENOUGH | {"@query": "?a=1?b"}, "rfc9421-hmac-sha256"),
        (DIGEST | {"@method": "POST", "@request-target": f"{PATH}?a=1?b"}, "rfc9421-hmac-sha256"),
        (ENOUGH | {"@authority": "hooks.example.com"}, "rfc9421-hmac-sha256"),
        (ENOUGH | {"x-event": "a  b"}, "rfc9421-hmac-sha256"),
        (ENOUGH | {"@method": "PUT"}, "signature_mismatch"),
        (ENOUGH | {"@path": f"{PATH}?a=1?b"}, "signature_mismatch"),
        (ENOUGH | {"@authority": "Hooks.example.com"}, "signature_mismatch"),
        (ENOUGH | {"@target-uri": URL}, "component_unsupported"),
        (ENOUGH | {"@scheme": "https"}, "component_unsupported"),
        (ENOUGH | {"@status": "200"}, "component_unsupported"),
        (ENOUGH | {"x-absent": ""}, "signed_header_missing"),
        (ENOUGH | {"x-odd": "\u20ac"}, "header_malformed"),
        (DIGEST | {"@method": "POST"}, "coverage_insufficient"),
        (DIGEST | {"@path": PATH}, "coverage_insufficient"),
        ({"@method": "POST", "@path": PATH}, "coverage_insufficient"),
        ({}, "coverage_insufficient"),
    ],
)
def test_components(lines: Mapping[str, str], expected: str) -> None:
    headers = {"x-event": " a  b\t", "x-odd": "\u20ac"}
    request = hand_made(lines, headers=headers, path=f"{PATH}?a=1?b")
    assert outcome(make("rfc9421"), request) == expected


@pytest.mark.parametrize(
    ("covered", "lines", "expected"),
    [
        (["@Authority"], {"@authority": "hooks.example.com"}, "rfc9421-hmac-sha256"),
        (["@authority"], ENOUGH, "coverage_insufficient"),
        (["content-digest"], DIGEST, "rfc9421-hmac-sha256"),
        (["content-digest", "x-event"], DIGEST, "coverage_insufficient"),
    ],
)
def test_what_must_be_covered_can_be_said(covered: list[str], lines: Mapping[str, str], expected: str) -> None:
    provider = make("rfc9421", covered=covered)
    assert outcome(provider, hand_made(lines)) == expected
    unsigned = hand_made(lines, digest=digests("sha-256", body=b"other"))
    if expected == "rfc9421-hmac-sha256":
        assert outcome(provider, unsigned) == ("digest_mismatch" if "content-digest" in lines else expected)


@pytest.mark.parametrize("url", [URL, "https://elsewhere.example/"])
def test_the_registered_url(url: str) -> None:
    lines = DIGEST | {"@method": "POST", "@target-uri": URL, "@scheme": "https"}
    expected = "rfc9421-hmac-sha256" if url == URL else "signature_mismatch"
    assert outcome(make("rfc9421", registered_url=url), hand_made(lines)) == expected
    assert problem("rfc9421", registered_url="hooks.example.com")[0] == "registered_url"


def test_a_sample_covers_what_is_asked_for() -> None:
    provider = make("rfc9421", covered=["content-digest", "content-type"])
    assert outcome(provider, signed(provider)) == "rfc9421-hmac-sha256"
    with pytest.raises(CommandFailed, match="a sample cannot cover"):
        signed(make("rfc9421", covered=["date"]))


@pytest.mark.parametrize("case", cases("rfc9421"))
def test_every_vector(case: Mapping[str, Any]) -> None:
    """The RFC's own examples leave the body unsigned: what is right in them is refused unless the settings say so."""
    key = "public_keys" if case["secret"].startswith("-----") else "secrets"
    usual: dict[str, Any] = {"provider": "rfc9421", key: secrets(case["secret"])}
    now = parse_moment(str(case["now"]))
    said = verdict(build(NAME, Source(**usual)), case, now)
    assert said == ("coverage_insufficient" if case["valid"] else "signature_mismatch")
    asked = ["date", "@authority", "content-type"]
    said = verdict(build(NAME, Source(**usual, covered=asked)), case, now)
    assert said == ("accepted" if case["valid"] else "signature_mismatch")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (f";created={SECONDS}", "rfc9421-hmac-sha256"),
        (f';created={SECONDS};keyid="k";nonce="n";tag="t"', "rfc9421-hmac-sha256"),
        (f';created={SECONDS};alg="hmac-sha256"', "rfc9421-hmac-sha256"),
        (f';created={SECONDS};alg="ed25519"', "signature_mismatch"),
        (f';created={SECONDS};alg="rsa-pss-sha512"', "signature_mismatch"),
        (f";created={SECONDS};expires={SECONDS}", "rfc9421-hmac-sha256"),
        (f";created={SECONDS};expires={SECONDS - 1}", "timestamp_too_old"),
        (f";created={SECONDS - 300}", "rfc9421-hmac-sha256"),
        (f";created={SECONDS - 301}", "timestamp_too_old"),
        (f";created={SECONDS + 301}", "timestamp_too_new"),
        ("", "timestamp_malformed"),
        (';created="x"', "timestamp_malformed"),
        (";created=-1", "signature_malformed"),
        (f";created={SECONDS}.0", "signature_malformed"),
        (f";created={SECONDS};flag", "signature_malformed"),
        (f';created={SECONDS};keyid="a\\"b"', "signature_malformed"),
    ],
)
def test_parameters(parameters: str, expected: str) -> None:
    assert outcome(make("rfc9421"), hand_made(ENOUGH, parameters)) == expected


@pytest.mark.parametrize(
    ("digest", "expected"),
    [
        (digests("sha-512"), "rfc9421-hmac-sha256"),
        (digests("sha-256", "sha-512", "md5"), "rfc9421-hmac-sha256"),
        (digests("md5"), "digest_mismatch"),
        (digests("sha-256", body=b"other"), "digest_mismatch"),
        (f"{digests('sha-256')}, {digests('sha-512', body=b'other')}", "digest_mismatch"),
        ("sha-256=:AAA:", "signature_malformed"),
        ("sha-256", "signature_malformed"),
    ],
)
def test_the_body_s_digest_is_signed_and_right(digest: str, expected: str) -> None:
    request = hand_made(ENOUGH, digest=digest)
    assert outcome(make("rfc9421"), request) == expected
    assert outcome(make("rfc9421"), changed(request, body=BODY + b" ")) in ("digest_mismatch", "signature_malformed")


@pytest.mark.parametrize(
    ("given", "signature", "expected"),
    [
        ("{input}", "{signature}", "rfc9421-hmac-sha256"),
        ("proxy=();created=1, {input}", "proxy=:AAAA:,{signature}", "rfc9421-hmac-sha256"),
        ("unsigned=();created=1,\t{input}", "{signature} , more=:AAAA:", "rfc9421-hmac-sha256"),
        ("{input}", "other=:AAAA:", "signature_mismatch"),
        ("{input}", "sig=:AAAA:", "signature_mismatch"),
        ("{input},", "{signature}", "signature_malformed"),
        ("{input} x", "{signature}", "signature_malformed"),
        ("{input}", "sig=AAAA", "signature_malformed"),
        ("{input}", "sig=:AAB=:", "signature_malformed"),
        ('sig=("a" "a");created=1', "{signature}", "signature_malformed"),
        ('sig=("a";sf);created=1', "{signature}", "signature_malformed"),
        ("{input}", ", ".join(["a=:AAAA:"] * MAX_SIGNATURES) + ", {signature}", "signature_malformed"),
        ("{input}", ", ".join(["a=:AAAA:"] * (MAX_SIGNATURES - 1)) + ", {signature}", "rfc9421-hmac-sha256"),
    ],
)
def test_dictionaries(given: str, signature: str, expected: str) -> None:
    request = hand_made(ENOUGH)
    own = dict(request.headers)
    headers = {
        "signature-input": given.format(input=own["signature-input"]),
        "signature": signature.format(signature=own["signature"]),
    }
    assert outcome(make("rfc9421"), changed(request, headers)) == expected


@pytest.mark.parametrize("name", ["signature", "signature-input", "host"])
def test_a_header_that_is_missing(name: str) -> None:
    request = hand_made(ENOUGH | {"@authority": "hooks.example.com"})
    expected = "signed_header_missing" if name == "host" else "signature_missing"
    assert outcome(make("rfc9421"), without(request, name)) == expected


@pytest.mark.parametrize("more", [{"secrets": []}, {}])
def test_ed25519(more: Mapping[str, Any]) -> None:
    provider = make("rfc9421", public_keys=secrets(public_pem(ed25519_key())), **more)
    request = provider.sign(Sample(BODY), PATH, NOW, private_pem(ed25519_key()))
    assert outcome(provider, request) == "rfc9421-ed25519"
    assert outcome(make("rfc9421"), request) == "signature_mismatch"
    assert outcome(provider, changed(request, path="/hooks/other")) == "signature_mismatch"


def test_a_source_of_public_keys_alone_cannot_sign() -> None:
    provider = make("rfc9421", secrets=[], public_keys=secrets(public_pem(ed25519_key())))
    with pytest.raises(CommandFailed, match="give the private one"):
        provider.sign(Sample(BODY), PATH, NOW)


def test_every_secret_is_tried() -> None:
    request = signed(make("rfc9421"))
    assert outcome(make("rfc9421", secrets=secrets("AAAA", SECRETS["rfc9421"])), request) == "rfc9421-hmac-sha256"
    assert outcome(make("rfc9421", secrets=secrets("AAAA")), request) == "signature_mismatch"


def test_settings_that_do_not_suit() -> None:
    assert problem("rfc9421", secrets=secrets("no base64!")) == ("secrets", "the key is not base64")
    assert problem("rfc9421", public_keys=secrets("nonsense"))[0] == "public_keys"
    assert make("rfc9421", auth=AUTHS["capability"], secrets=secrets("no base64!")).credential is not None
    assert problem("rfc9421", covered=["content digest"])[0] == "covered"


def test_a_source_that_leaves_the_body_unsigned_is_warned_about() -> None:
    warnings = type(make("rfc9421")).warnings
    assert (
        warnings(Source(provider="rfc9421")) == warnings(Source(provider="rfc9421", covered=["Content-Digest"])) == []
    )
    assert "without content-digest" in warnings(Source(provider="rfc9421", covered=["date"]))[0]
