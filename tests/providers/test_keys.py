"""Keys: what an operator may pin, what a vendor may publish, and what samples are signed with."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from support.senders import NOW, ed25519_key, private_pem, public_pem, rsa_key

from service.domain.errors import CommandFailed, Refused
from service.providers.keys import (
    certificate_key,
    ed25519_private_key,
    load_ed25519_keys,
    load_public_keys,
    load_rsa_keys,
    rsa_private_key,
)

EC = (
    generate_private_key(SECP256R1())
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
PKCS1 = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()
RAW = ed25519_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def url64(value: bytes | int) -> str:
    raw = value if isinstance(value, bytes) else value.to_bytes(-(-value.bit_length() // 8))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": list(keys)})


NUMBERS = rsa_key().public_key().public_numbers()
RSA_JWK = {"kty": "RSA", "kid": "1", "n": url64(NUMBERS.n), "e": url64(NUMBERS.e)}
ED_JWK = {"kty": "OKP", "crv": "Ed25519", "x": url64(RAW)}


@pytest.mark.parametrize(
    "value", [public_pem(rsa_key()), PKCS1, f"text before\n{PKCS1}text after", jwks(RSA_JWK), f" \n{jwks(RSA_JWK)}"]
)
def test_rsa_keys_in_every_form(value: str) -> None:
    assert [key.public_numbers() for key in load_rsa_keys(value)] == [NUMBERS]


@pytest.mark.parametrize("value", [public_pem(ed25519_key()), jwks(ED_JWK)])
def test_ed25519_keys_in_every_form(value: str) -> None:
    assert [key.public_bytes_raw() for key in load_ed25519_keys(value)] == [RAW]


def test_several_keys_at_once_and_certificates_whatever_their_dates(certificate: bytes, expired: bytes) -> None:
    assert len(load_public_keys(public_pem(rsa_key()) + public_pem(ed25519_key()))) == 2
    assert len(load_public_keys(jwks(RSA_JWK, ED_JWK))) == 2
    assert len(load_rsa_keys((certificate + expired).decode())) == 2


@pytest.mark.parametrize(
    "value",
    [
        *("", "nonsense", "{", "{}", '{"keys": []}', '{"keys": [{}]}', '{"keys": [1]}', EC, jwks({"kty": "EC"})),
        *(jwks(RSA_JWK, {"kty": "oct"}), jwks({"kty": "OKP", "crv": "X25519", "x": url64(RAW)})),
        *(jwks({"kty": "OKP", "crv": "Ed25519", "x": "%%%"}), jwks({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})),
        *(jwks({"kty": "RSA", "n": "", "e": ""}), jwks({"kty": "RSA", "n": "AQAB", "e": "Ag"})),
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        private_pem(rsa_key()).decode(),
    ],
)
def test_what_is_no_usable_key(value: str) -> None:
    with pytest.raises(ValueError):
        load_public_keys(value)


def test_a_scheme_takes_its_own_kind_of_key() -> None:
    with pytest.raises(ValueError, match="an Ed25519 key where only RSA keys sign"):
        load_rsa_keys(public_pem(rsa_key()) + public_pem(ed25519_key()))
    with pytest.raises(ValueError, match="an RSA key where only Ed25519 keys sign"):
        load_ed25519_keys(public_pem(rsa_key()) + public_pem(ed25519_key()))


def test_a_published_certificate(certificate: bytes, expired: bytes, early: bytes, not_rsa: bytes) -> None:
    assert certificate_key(certificate, NOW).public_numbers() == NUMBERS
    for pem, reason in (
        (expired, "certificate_expired"),
        (early, "certificate_expired"),
        (not_rsa, "certificate_unreadable"),
        (public_pem(rsa_key()).encode(), "certificate_unreadable"),
        (b"", "certificate_unreadable"),
        (certificate[:-100], "certificate_unreadable"),
    ):
        with pytest.raises(Refused) as refused:
            certificate_key(pem, NOW)
        assert refused.value.reason == reason


def test_private_keys() -> None:
    locked = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"fake"))
    assert rsa_private_key(private_pem(rsa_key())).private_numbers() == rsa_key().private_numbers()
    assert ed25519_private_key(private_pem(ed25519_key())).private_bytes_raw() == ed25519_key().private_bytes_raw()
    for load, value in (
        (rsa_private_key, locked),
        (rsa_private_key, b""),
        (rsa_private_key, private_pem(ed25519_key())),
        (ed25519_private_key, private_pem(rsa_key())),
        (ed25519_private_key, b"whsk_AAAA"),
    ):
        with pytest.raises(CommandFailed):
            load(value)
