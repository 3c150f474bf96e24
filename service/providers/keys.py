"""Keys: the public ones an operator pinned, the one in a published certificate, and private ones to sign samples with.

`cryptography` is imported where it is needed, so that a relay of HMAC sources never pays for it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from service.domain.errors import CommandFailed, Refused
from service.providers.base import SourceProblem
from service.settings.model import Source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

    PublicKey = RSAPublicKey | Ed25519PublicKey

_PEM = re.compile(r"-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY|CERTIFICATE)-----.*?-----END \1-----", re.DOTALL)


def load_public_keys(value: str) -> list[PublicKey]:
    """The keys an operator pinned: PEM public keys, PEM certificates (their dates do not count) or a JWKS.

    ValueError where there is none, or one that is neither RSA nor Ed25519.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    keys: list[PublicKey] = []
    try:
        for key in _jwks(value) if value.lstrip().startswith("{") else pem_keys(value):
            if not isinstance(key, RSAPublicKey | Ed25519PublicKey):
                raise ValueError("a key that is neither RSA nor Ed25519")
            keys.append(key)
    except (msgspec.MsgspecError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None
    if not keys:
        raise ValueError("neither PEM public keys, nor PEM certificates, nor a JWKS")
    return keys


def load_rsa_keys(value: str) -> list[RSAPublicKey]:
    """As `load_public_keys`, and every one is RSA."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    keys = load_public_keys(value)
    rsa = [key for key in keys if isinstance(key, RSAPublicKey)]
    if len(rsa) < len(keys):
        raise ValueError("an Ed25519 key where only RSA keys sign")
    return rsa


def pinned_rsa_keys(source: Source) -> list[RSAPublicKey]:
    """The RSA keys in a source's `public_keys`; SourceProblem where one is no such key."""
    try:
        return [key for given in source.public_keys for key in load_rsa_keys(given.reveal())]
    except ValueError as error:
        raise SourceProblem("public_keys", f"not an RSA public key or certificate: {error}") from None


def published_rsa_keys(fetched: str | None) -> list[RSAPublicKey]:
    """The RSA keys in what a sender publishes, PEM or JWKS; refused where there are none."""
    if not fetched:
        raise Refused("key_missing", "no key that the sender publishes was at hand")
    try:
        return load_rsa_keys(fetched)
    except ValueError as error:
        raise Refused("key_unreadable", f"what was published is not an RSA key: {error}") from None


def load_ed25519_keys(value: str) -> list[Ed25519PublicKey]:
    """As `load_public_keys`, and every one is Ed25519."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    keys = load_public_keys(value)
    ed25519 = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if len(ed25519) < len(keys):
        raise ValueError("an RSA key where only Ed25519 keys sign")
    return ed25519


def pem_keys(value: str) -> Iterator[object]:
    """The keys in PEM public keys and certificates, of whatever kind."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    for block in _PEM.finditer(value):
        pem = block[0].encode()
        yield load_pem_x509_certificate(pem).public_key() if block[1] == "CERTIFICATE" else load_pem_public_key(pem)


class _Jwk(msgspec.Struct):
    """RFC 7517: the members of RSA (RFC 7518) and Ed25519 (RFC 8037) public keys."""

    kty: str
    n: str = ""
    e: str = ""
    crv: str = ""
    x: str = ""


class _Jwks(msgspec.Struct):
    keys: list[_Jwk]


def _jwks(value: str) -> Iterator[object]:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    for key in msgspec.json.decode(value, type=_Jwks).keys:
        if key.kty == "RSA":
            exponent, modulus = (int.from_bytes(_base64url(part)) for part in (key.e, key.n))
            yield RSAPublicNumbers(exponent, modulus).public_key()
        elif key.kty == "OKP" and key.crv == "Ed25519":
            yield ed25519_key(_base64url(key.x))
        else:
            yield key  # another kind of key, which the caller names as unsuitable


def _base64url(value: str) -> bytes:
    return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)


def ed25519_key(raw: bytes) -> Ed25519PublicKey:
    """The public key of these 32 bytes; ValueError for another number of bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


def certificate_key(pem: bytes | None, now: datetime) -> RSAPublicKey:
    """The RSA key of a published X.509 certificate in PEM; refused when it is missing, unreadable or not valid now."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import load_pem_x509_certificate

    if pem is None:
        raise Refused("certificate_missing", "the certificate that the message names was not at hand")
    try:
        certificate = load_pem_x509_certificate(pem)
        key = certificate.public_key()
        valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    except Exception as error:  # a parser of hostile bytes in another language: whatever it raises, the answer is one
        raise Refused("certificate_unreadable", f"what was published is not a certificate: {error}") from None
    if not isinstance(key, RSAPublicKey):
        raise Refused("certificate_unreadable", "the certificate's key is not RSA")
    if not valid:
        raise Refused("certificate_expired", "the certificate is not valid at this time")
    return key


def rsa_private_key(pem: bytes) -> RSAPrivateKey:
    """The RSA private key in a PEM file without password; CommandFailed otherwise."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    key = private_key(pem)
    if not isinstance(key, RSAPrivateKey):
        raise CommandFailed("the signing key is not an RSA private key")
    return key


def ed25519_private_key(value: bytes) -> Ed25519PrivateKey:
    """The Ed25519 private key in a PEM file without password or in a `whsk_…` line; CommandFailed otherwise."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if value.startswith(b"whsk_"):
        try:
            raw = base64.b64decode(value.strip().removeprefix(b"whsk_"), validate=True)
            return Ed25519PrivateKey.from_private_bytes(raw[:32])  # Svix's server appends the public half
        except ValueError:
            raise CommandFailed("the signing key is no whsk_… key") from None
    key = private_key(value)
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandFailed("the signing key is not an Ed25519 private key")
    return key


def private_key(pem: bytes) -> object:
    """The private key in a PEM file without password, of whatever kind; CommandFailed otherwise."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CommandFailed("the signing key is not a private key in PEM without a password") from None
