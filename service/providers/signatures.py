"""Signatures and signed clocks: bytes in, and either a value or Refused out.

Whatever a sender gives is decoded strictly: one spelling of a digest, not the several a lenient decoder takes.
`cryptography` is imported where it is needed, so that a relay of HMAC sources never pays for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from service.domain.clock import EPOCH, from_ms, to_ms
from service.domain.errors import Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

HashName = Literal["sha1", "sha256"]

_LAST_YEAR = 9000  # any tolerance may be added to it and datetime still holds the sum
_LAST_MOMENT = to_ms(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC))
_UNIX_TIME = re.compile(r"[0-9]{1,15}")


def digest(algorithm: HashName, message: bytes) -> bytes:
    """A plain SHA-1 or SHA-256 digest."""
    return hashlib.new(algorithm, message, usedforsecurity=algorithm != "sha1").digest()


def hmac_sha1(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA1, 20 bytes: unlike the plain digest it is not broken, and some senders have nothing else."""
    return _hmac(key, message, "sha1")


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes."""
    return _hmac(key, message, "sha256")


def _hmac(key: bytes, message: bytes, algorithm: HashName) -> bytes:
    """Not by `hmac.digest`, which looks its algorithm up each time, and lets another thread go first meanwhile."""
    mac = _keyed(key, algorithm).copy()
    mac.update(message)
    return mac.digest()


@lru_cache(maxsize=256)  # as many keys as a relay may have, and be rotating
def _keyed(key: bytes, algorithm: HashName) -> hmac.HMAC:
    return hmac.new(key, digestmod=algorithm)


def matches_any(given: Iterable[bytes], expected: Iterable[bytes]) -> bool:
    """Whether any of `given` equals any of `expected`. Every pair is compared in constant time, found or not."""
    wanted = list(expected)
    matches = [hmac.compare_digest(one, other) for one in given for other in wanted]
    return any(matches)


def from_hex(value: str, lengths: Sequence[int]) -> bytes:
    """Lower-case hex of one of these lengths in bytes."""
    if not re.fullmatch(r"[0-9a-f]*", value) or len(value) not in [2 * length for length in lengths]:
        raise Refused("signature_malformed", "the signature is not lower-case hex of the right length")
    return bytes.fromhex(value)


def from_base64(value: str) -> bytes:
    """Standard base64 with its padding, in its one canonical spelling."""
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("signature_malformed", "the signature is not base64") from None
    if base64.b64encode(decoded).decode() != value:
        raise Refused("signature_malformed", "the signature's base64 has stray bits")
    return decoded


def to_base64url(value: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@lru_cache(maxsize=64)  # what comes together was signed in a second or two
def unix_time(value: str, unit: Literal["s", "ms"]) -> datetime:
    """A signed time: ASCII digits only, seconds or milliseconds since 1970, before the year 9000."""
    if not _UNIX_TIME.fullmatch(value):
        raise Refused("timestamp_malformed", "the timestamp is not a whole number")
    moment = int(value) * (1000 if unit == "s" else 1)
    if moment > _LAST_MOMENT:
        raise Refused("timestamp_malformed", f"the timestamp lies beyond the year {_LAST_YEAR}")
    return from_ms(moment)


def utc_time(value: str) -> datetime:
    """A signed time such as `2026-03-06T20:00:27.101Z`."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z", value):
        raise Refused("timestamp_malformed", "the timestamp is not a UTC date-time")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise Refused("timestamp_malformed", "the timestamp names no real time") from None
    if not EPOCH.year <= moment.year < _LAST_YEAR:
        raise Refused("timestamp_malformed", f"the timestamp's year is not within 1970 and {_LAST_YEAR}")
    return moment


def rsa_verifies(key: RSAPublicKey, signature: bytes, message: bytes, algorithm: HashName) -> bool:
    """Whether an RSASSA-PKCS1-v1_5 signature is right."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    try:
        # SHA-1 is what SNS signs with unless a topic's SignatureVersion is 2; accepting it is Amazon's choice.
        key.verify(signature, message, PKCS1v15(), SHA1() if algorithm == "sha1" else SHA256())  # noqa: S303 - see above
    except InvalidSignature:
        return False
    return True


def rsa_signature(key: RSAPrivateKey, message: bytes, algorithm: HashName) -> bytes:
    """An RSASSA-PKCS1-v1_5 signature, for samples."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    return key.sign(message, PKCS1v15(), SHA1() if algorithm == "sha1" else SHA256())  # noqa: S303 - as above


def rsa_pss_verifies(key: RSAPublicKey, signature: bytes, message: bytes) -> bool:
    """Whether an RSASSA-PSS signature with SHA-256 is right, whatever the length of its salt."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, message, PSS(MGF1(SHA256()), PSS.AUTO), SHA256())
    except InvalidSignature:
        return False
    return True


def rsa_pss_signature(key: RSAPrivateKey, message: bytes) -> bytes:
    """An RSASSA-PSS signature with SHA-256 and a salt of its length, for samples."""
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(message, PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH), SHA256())


def ed25519_verifies(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is right."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
