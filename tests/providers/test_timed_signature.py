"""Headers such as `t=…,v1=…`: one time, any of several digests, and nothing read leniently."""

from __future__ import annotations

import pytest
from support.senders import NOW, PATH, secrets

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.signatures import hmac_sha256
from service.providers.timed_signature import MAX_PARTS, TimedSignature

SCHEME = TimedSignature("x-signature")
KEYS = secrets("fake-new-secret", "fake-old-secret")
BODY = b'{"a": 1}\xff'
TIME = "1795521600"
GOOD = hmac_sha256(b"fake-old-secret", TIME.encode() + b"." + BODY).hex()
WRONG = "0" * 64


def reason(value: str, scheme: TimedSignature = SCHEME) -> str:
    try:
        scheme.verify(RawRequest.of("POST", PATH, {"x-signature": value}, BODY), KEYS, NOW, 300)
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"t={TIME},v1={GOOD}", ""),
        (f"v1={GOOD},t={TIME}", ""),
        (f"t={TIME},v1={WRONG},v1={GOOD}", ""),
        (f"t={TIME},v1={GOOD},v1={WRONG},v2=later", ""),
        (f"t={TIME},v0={GOOD},v1={WRONG}", "signature_mismatch"),
        (f"t=1795521601,v1={GOOD}", "signature_mismatch"),
        (f"t=0{TIME},v1={GOOD}", "signature_mismatch"),
        (f"t={TIME},v0={GOOD}", "signature_malformed"),
        (f"t={TIME},v1={GOOD.upper()}", "signature_malformed"),
        (f"t={TIME},v1={GOOD},v1=short", "signature_malformed"),
        (f"t={TIME}, v1={GOOD}", "signature_malformed"),
        (f"v1={GOOD}", "signature_malformed"),
        (f"t={TIME},t={TIME},v1={GOOD}", "signature_malformed"),
        (f"t=soon,v1={GOOD}", "timestamp_malformed"),
        (f"t={TIME},v1={GOOD}" + ",v1=" * MAX_PARTS, "signature_malformed"),
        ("", "signature_missing"),
        (GOOD, "signature_malformed"),
    ],
)
def test_what_a_header_says(value: str, expected: str) -> None:
    assert reason(value) == expected


@pytest.mark.parametrize(
    ("scheme", "start"),
    [
        (SCHEME, "t=1795521600,v1="),
        (TimedSignature("x-signature", "time", "sig1"), "time=1795521600,sig1="),
        (TimedSignature("x-signature", unit="ms"), "t=1795521600000,v1="),
    ],
)
def test_what_it_writes_it_reads(scheme: TimedSignature, start: str) -> None:
    value = scheme.value(BODY, KEYS[0], NOW)
    assert value.startswith(start)
    assert reason(value, scheme) == ""
