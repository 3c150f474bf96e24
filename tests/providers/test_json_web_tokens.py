"""Tokens taken apart, key sets, and signatures of every algorithm."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.senders import ed25519_key, private_pem, public_pem, rsa_key
from support.tokens import ISSUER_CLAIMS, KEY_ID, ec_key, jwk, jwks, token

from service.domain.errors import CommandFailed, KeyUnknown, Refused
from service.providers.json_web_tokens import (
    MAX_TOKEN,
    Key,
    Token,
    check_signature,
    parsed_keys,
    signed_token,
    token_of_secret,
)

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def made(header: Any, claims: Any = None, signature: str = "AAAA") -> str:
    return f"{part(header)}.{part({} if claims is None else claims)}.{signature}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "token_malformed"),
        ("a.b", "token_malformed"),
        ("a.b.c.d", "token_malformed"),
        ("a" * (MAX_TOKEN + 1), "token_malformed"),
        ("not.a.jwt", "token_malformed"),
        ("\xff.e30.AAAA", "token_malformed"),
        ("e30=.e30.AAAA", "token_malformed"),
        ("e31.e30.AAAA", "token_malformed"),
        (made([]), "token_malformed"),
        (made({}, []), "token_malformed"),
        (made(b"[" * 9000), "token_malformed"),
        (made({"kid": 1}), "token_malformed"),
        (made({}, signature="AAB"), "token_malformed"),
        (made({"crit": ["b64"], "b64": False}), "token_extension_unknown"),
    ],
)
def test_what_is_no_token(text: str, expected: str) -> None:
    with pytest.raises(Refused) as caught:
        Token.parse(text)
    assert caught.value.reason == expected


def test_a_token_s_parts() -> None:
    found = Token.parse(made({"alg": "RS256", "kid": "k", "jku": "https://evil.example"}, {"iss": "i"}))
    assert (found.algorithm, found.key_id, found.claims, found.signature) == ("RS256", "k", {"iss": "i"}, b"\0\0\0")
    assert Token.parse(made({"alg": 5})).algorithm == ""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm(algorithm: str) -> None:
    keys = parsed_keys(jwks(jwk(algorithm)).encode())
    given = token(ISSUER_CLAIMS, algorithm)
    check_signature(Token.parse(given), keys)
    head, claims, signature = given.split(".")
    tampered = f"{head}.{part({'iss': 'other'})}.{signature}"
    for wrong in (tampered, f"{head}.{claims}.", f"{head}.{claims}.AAAA"):
        with pytest.raises(Refused) as caught:
            check_signature(Token.parse(wrong), keys)
        assert caught.value.reason == "signature_mismatch"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS384", "ES256", "", "PS256"])
def test_a_key_is_good_for_its_own_algorithm_alone(algorithm: str) -> None:
    keys = parsed_keys(jwks(jwk(alg="RS256")).encode())
    with pytest.raises(Refused) as caught:
        check_signature(Token.parse(made({"alg": algorithm, "kid": KEY_ID})), keys)
    assert caught.value.reason == "token_algorithm_refused"


@pytest.mark.parametrize(
    ("kid", "key_id", "expected"),
    [
        (KEY_ID, KEY_ID, ""),
        (KEY_ID, None, ""),
        (None, KEY_ID, ""),
        (KEY_ID, "other", "key_unknown"),
        (KEY_ID, "", "key_unknown"),
    ],
)
def test_a_key_is_looked_up_by_its_id(kid: str | None, key_id: str | None, expected: str) -> None:
    given = Token.parse(token(ISSUER_CLAIMS, headers={"kid": key_id}))
    keys = parsed_keys(jwks(jwk(kid=kid)).encode())
    if not expected:
        check_signature(given, keys)
        return
    with pytest.raises(KeyUnknown) as caught:
        check_signature(given, keys)
    assert caught.value.reason == expected


SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - it is to be refused


@pytest.mark.parametrize(
    "unusable",
    [
        1,
        {},
        {"kty": "RSA"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"},
        jwk(use="enc"),
        jwk(alg="RS512"),
        jwk(n=5),
        jwk(n="!"),
        jwk("ES256", x="AAAA"),
        jwk("EdDSA", x="AAAA"),
        jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(), as_dict=True),
        jwt.algorithms.RSAAlgorithm.to_jwk(SMALL.public_key(), as_dict=True),
    ],
)
def test_keys_that_are_left_out(unusable: Any) -> None:
    assert [key.id for key in parsed_keys(jwks(unusable, jwk()).encode())] == [KEY_ID]
    with pytest.raises(ValueError, match="a public key of RSA"):
        parsed_keys(jwks(unusable).encode())


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.mark.parametrize(
    ("document", "algorithms"),
    [
        (public_pem(rsa_key()), ("RS256", "PS256")),
        (public_pem(ed25519_key()), ("EdDSA",)),
        (pem(ec_key()), ("ES256",)),
        (pem(ec.generate_private_key(ec.SECP384R1())), None),
        (pem(dsa.generate_private_key(2048)), None),
        (pem(SMALL), None),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", None),
        ("nonsense", None),
        ("{", None),
        ("[" * 5000, None),
        ('{"keys": {}}', None),
    ],
)
def test_pinned_keys(document: str, algorithms: tuple[str, ...] | None) -> None:
    if algorithms is None:
        with pytest.raises(ValueError):
            parsed_keys(document.encode())
        return
    (key,) = parsed_keys(document.encode())
    assert (key.id, key.algorithms) == (None, algorithms)


def test_a_deep_document_and_bytes_that_are_no_text() -> None:
    for document in (b'{"keys":' + b"[" * 5000, b"\xff"):
        with pytest.raises(ValueError):
            parsed_keys(document)


def test_a_key_set_is_parsed_once() -> None:
    assert parsed_keys(jwks().encode()) is parsed_keys(jwks().encode())


def test_a_certificate_is_a_key(certificate: bytes) -> None:
    assert parsed_keys(certificate) == (Key(rsa_key().public_key(), None, ("RS256", "PS256")),)


def test_a_signed_sample() -> None:
    keys = parsed_keys(jwks(jwk("ES256", kid="other"), jwk()).encode())
    given = Token.parse(signed_token(ISSUER_CLAIMS, "RS256", private_pem(rsa_key()), keys))
    assert given.key_id == KEY_ID
    check_signature(given, keys)
    assert Token.parse(signed_token(ISSUER_CLAIMS, "RS256", private_pem(rsa_key()), ())).key_id == "relay"
    for wrong in (private_pem(ed25519_key()), b"nonsense"):
        with pytest.raises(CommandFailed, match="signing key"):
            signed_token(ISSUER_CLAIMS, "RS256", wrong, keys)


def test_a_token_of_a_secret_is_what_pyjwt_reads() -> None:
    secret = b"fake-secret-of-thirty-two-bytes!!"
    given = token_of_secret({"sub": "a"}, secret)
    assert jwt.decode(given, secret, algorithms=["HS256"]) == {"sub": "a"}
