"""JSON Web Tokens: taken apart strictly, and judged with keys that were pinned or published, never with a token's own.

PyJWT knows the algorithms and how keys are spelled; it is imported where it is needed, as `cryptography` is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec import Struct

from service.domain.errors import CommandFailed, KeyUnknown, Refused, Unreadable
from service.providers import json_body
from service.providers.keys import pem_keys, private_key
from service.providers.signatures import hmac_sha256, to_base64url

if TYPE_CHECKING:
    from jwt.algorithms import AllowedPublicKeys

MAX_TOKEN = 16 * 1024  # characters; Microsoft's with many roles have a few thousand
_SMALLEST_RSA = 2048  # https://www.rfc-editor.org/rfc/rfc7518#section-3.3

# By `kty` and `crv` of a key: what may be signed with it.
_ALGORITHMS = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}


class Token(Struct, frozen=True):
    """A token's parts. Nothing in it is believed before its signature was judged; `jku`, `jwk` and `x5u` never are."""

    algorithm: str
    key_id: str | None
    claims: Mapping[str, Any]
    message: bytes
    signature: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """https://www.rfc-editor.org/rfc/rfc7515#section-5.2; raises Refused."""
        if len(text) > MAX_TOKEN:
            raise Refused("token_malformed", f"the token has more than {MAX_TOKEN} characters")
        parts = text.split(".")
        if len(parts) != 3:
            raise Refused("token_malformed", "the token has not three parts")
        header, claims, signature = (_decoded(part) for part in parts)
        described = _object(header)
        if "crit" in described:
            raise Refused("token_extension_unknown", "the token asks for an extension that is not known here")
        key_id = described.get("kid")
        if not isinstance(key_id, str | None):
            raise Refused("token_malformed", "the token's key id is not text")
        message = text.rpartition(".")[0].encode()
        return cls(json_body.text(described, "alg") or "", key_id, _object(claims), message, signature)


def _decoded(part: str) -> bytes:
    """base64url without padding, in its one canonical spelling: no second spelling of a signature is right."""
    try:
        decoded = base64.b64decode(part.encode("ascii") + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Refused("token_malformed", "a part of the token is not base64url") from None
    if to_base64url(decoded) != part:
        raise Refused("token_malformed", "a part of the token has stray bits")
    return decoded


def _object(part: bytes) -> dict[str, Any]:
    try:
        return json_body.parse_object(part)
    except Unreadable as error:
        raise Refused("token_malformed", str(error).replace("the body", "a part of the token")) from None


class Key(Struct, frozen=True):
    """A public key, its id where it has one, and the algorithms it is good for."""

    public: AllowedPublicKeys
    id: str | None
    algorithms: tuple[str, ...]


@lru_cache(maxsize=64)
def parsed_keys(document: bytes) -> tuple[Key, ...]:
    """The keys of a JWKS or in PEM, parsed once while they stay the same; ValueError where none is usable.

    Left out are private and symmetric keys, those for encryption, and kinds that nothing here verifies with.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        if document.lstrip().startswith(b"{"):
            found = [_of_jwk(one) for one in json_body.array(msgspec.json.decode(document), "keys")]
        else:
            found = [_of_pem(one) for one in pem_keys(document.decode())]
    except (msgspec.MsgspecError, RecursionError, UnsupportedAlgorithm) as error:
        raise ValueError(f"neither PEM nor a JWKS: {error}") from None
    keys = tuple(key for key in found if key is not None)
    if not keys:
        raise ValueError("neither in PEM nor in a JWKS a public key of RSA (2048 bits or more), P-256 or Ed25519")
    return keys


def _of_jwk(described: Any) -> Key | None:
    """https://www.rfc-editor.org/rfc/rfc7517#section-4"""
    from jwt import PyJWK, PyJWTError

    algorithms = _ALGORITHMS.get((json_body.text(described, "kty") or "", json_body.text(described, "crv")), ())
    given = json_body.text(described, "alg")
    suitable = tuple(one for one in algorithms if given in (None, one))
    if not suitable or "d" in described or described.get("use", "sig") != "sig":
        return None
    try:
        public = PyJWK(described, suitable[0]).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if "RS256" in algorithms and public.key_size < _SMALLEST_RSA:
        return None
    return Key(public, json_body.text(described, "kid"), suitable)


def _of_pem(key: Any) -> Key | None:
    """A key without an id: any id of a token means it."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey) and key.key_size >= _SMALLEST_RSA:
        return Key(key, None, _ALGORITHMS["RSA", None])
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1":
        return Key(key, None, _ALGORITHMS["EC", "P-256"])
    return Key(key, None, _ALGORITHMS["OKP", "Ed25519"]) if isinstance(key, Ed25519PublicKey) else None


def check_signature(token: Token, keys: Sequence[Key]) -> None:
    """Raises Refused unless a key of the token's id signed it, KeyUnknown where there is no such key."""
    from jwt import get_algorithm_by_name

    named = [key for key in keys if key.id is None or token.key_id in (None, key.id)]
    if not named:
        raise KeyUnknown("no key has the token's key id")
    suitable = [key for key in named if token.algorithm in key.algorithms]
    if not suitable:
        raise Refused("token_algorithm_refused", f"the key is not for {token.algorithm}")
    algorithm = get_algorithm_by_name(token.algorithm)
    if not any(algorithm.verify(token.message, key.public, token.signature) for key in suitable):
        raise Refused("signature_mismatch")


def signed_token(claims: Mapping[str, Any], algorithm: str, pem: bytes, keys: Iterable[Key]) -> str:
    """A token for samples, under the id that the key has among `keys`; CommandFailed where the key does not suit."""
    import jwt

    private = private_key(pem)
    try:
        public = private.public_key()  # type: ignore[attr-defined]  # every private key has one; no type says so
        key_id = next((key.id for key in keys if key.public == public and key.id), "relay")
        return jwt.encode(dict(claims), private, algorithm, {"kid": key_id})  # type: ignore[arg-type]  # tried here
    except (jwt.PyJWTError, TypeError, ValueError):
        raise CommandFailed(f"the signing key is not for {algorithm}") from None


def token_of_secret(claims: Mapping[str, Any], secret: bytes) -> str:
    """A token signed by HS256, for samples."""
    parts = [to_base64url(msgspec.json.encode(part)) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    message = ".".join(parts)
    return f"{message}.{to_base64url(hmac_sha256(secret, message.encode()))}"
