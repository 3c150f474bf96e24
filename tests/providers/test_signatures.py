"""Digests and clocks are read strictly: one spelling each."""

from __future__ import annotations

import pytest
from support.senders import ed25519_key, rsa_key

from service.domain.clock import iso
from service.domain.errors import Refused
from service.providers.signatures import (
    HashName,
    digest,
    ed25519_verifies,
    from_base64,
    from_hex,
    hmac_sha256,
    matches_any,
    rsa_signature,
    rsa_verifies,
    to_base64url,
    unix_time,
    utc_time,
)


def test_digests() -> None:
    assert digest("sha1", b"abc").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert digest("sha256", b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    # RFC 4231, test case 2
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert to_base64url(b"\xfb\xff") == "-_8"


@pytest.mark.parametrize(
    ("given", "expected", "found"),
    [
        ([], [], False),
        ([b"a"], [], False),
        ([b"a"], [b"b", b"a"], True),
        ([b"a", b"c"], [b"c"], True),
        ([b"a"], [b"ab"], False),
    ],
)
def test_any_of_many(given: list[bytes], expected: list[bytes], found: bool) -> None:
    assert matches_any(given, expected) is found


@pytest.mark.parametrize("value", ["", "0", "0A", "0x", " 00", "00\n", "000", "٠٠"])
def test_hex_has_one_spelling(value: str) -> None:
    with pytest.raises(Refused) as refused:
        from_hex(value, [1])
    assert refused.value.reason == "signature_malformed"
    assert from_hex("0a", [1, 2]) == b"\n"


@pytest.mark.parametrize("value", ["A", "AB", "AB=", "AB==", "AA==\n", "A A=", "-_8=", "é", "=AAA"])
def test_base64_has_one_spelling(value: str) -> None:
    with pytest.raises(Refused) as refused:
        from_base64(value)
    assert refused.value.reason == "signature_malformed"
    assert from_base64("AA==") == b"\0"
    assert from_base64("") == b""


@pytest.mark.parametrize(
    ("value", "unit", "moment"),
    [
        ("0", "s", "1970-01-01T00:00:00.000Z"),
        ("1795521600", "s", "2026-11-24T12:00:00.000Z"),
        ("1795521600123", "ms", "2026-11-24T12:00:00.123Z"),
        ("000000000000001", "ms", "1970-01-01T00:00:00.001Z"),
    ],
)
def test_unix_times(value: str, unit: str, moment: str) -> None:
    assert iso(unix_time(value, "s" if unit == "s" else "ms")) == moment


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.0", "1e9", " 1", "1 ", "1\n", "١", "1" * 16, "9" * 15])
@pytest.mark.parametrize("unit", ["s", "ms"])
def test_unix_times_have_one_spelling(value: str, unit: str) -> None:
    with pytest.raises(Refused) as refused:
        unix_time(value, "s" if unit == "s" else "ms")
    assert refused.value.reason == "timestamp_malformed"


@pytest.mark.parametrize("value", ["2026-03-06T20:00:27Z", "2026-03-06T20:00:27.000Z", "2026-03-06T20:00:27.000000Z"])
def test_utc_times(value: str) -> None:
    assert iso(utc_time(value)) == "2026-03-06T20:00:27.000Z"


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026-03-06", "2026-03-06T20:00:27", "2026-03-06T20:00:27+00:00", "2026-03-06 20:00:27Z"),
        *("2026-03-06T20:00:27z", "2026-02-30T20:00:27Z", "2026-03-06T25:00:27Z", "1969-12-31T23:59:59Z"),
        *("9000-01-01T00:00:00Z", "2026-03-06T20:00:27.Z", "2026-03-06T20:00:27Z\n", "٢٠26-03-06T20:00:27Z"),
    ],
)
def test_utc_times_have_one_spelling(value: str) -> None:
    with pytest.raises(Refused) as refused:
        utc_time(value)
    assert refused.value.reason == "timestamp_malformed"


@pytest.mark.parametrize(("algorithm", "other"), [("sha1", "sha256"), ("sha256", "sha1")])
def test_rsa(algorithm: HashName, other: HashName) -> None:
    public = rsa_key().public_key()
    signature = rsa_signature(rsa_key(), b"message", algorithm)
    assert rsa_verifies(public, signature, b"message", algorithm)
    assert not rsa_verifies(public, signature, b"messagf", algorithm)
    assert not rsa_verifies(public, signature, b"message", other)
    assert not rsa_verifies(public, b"", b"message", algorithm)


def test_ed25519() -> None:
    public = ed25519_key().public_key()
    signature = ed25519_key().sign(b"message")
    assert ed25519_verifies(public, signature, b"message")
    assert not ed25519_verifies(public, signature, b"messagf")
    assert not ed25519_verifies(public, b"", b"message")
