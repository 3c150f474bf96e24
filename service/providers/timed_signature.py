"""Signature headers such as `t=1767225600,v1=…`: a time, and hex HMAC-SHA256 over time, a full stop and the body."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from service.domain.clock import to_ms
from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.domain.secret import Secret
from service.providers.base import refuse_stale
from service.providers.signatures import from_hex, hmac_sha256, matches_any, unix_time

MAX_PARTS = 32  # in one header; a rotation needs three


class TimedSignature(Struct, frozen=True):
    """One sender's spelling of the scheme. Parts of another name are passed over: they are newer versions."""

    header: str
    time_name: str = "t"
    digest_name: str = "v1"
    unit: Literal["s", "ms"] = "s"

    def verify(
        self, request: RawRequest, secrets: Sequence[Secret], now: datetime, tolerance: float | None
    ) -> datetime:
        """The signed time, where one of the header's digests is right; raises Refused."""
        value = request.required(self.header)
        if value.count(",") >= MAX_PARTS:
            raise Refused("signature_malformed", f"more than {MAX_PARTS} parts in one header")
        times = list(_named(value, self.time_name))
        given = [from_hex(found, lengths=[32]) for found in _named(value, self.digest_name)]
        if len(times) != 1 or not given:
            raise Refused("signature_malformed", f"{self.header} is not {self.time_name}=…,{self.digest_name}=…")
        signed_at = unix_time(times[0], self.unit)
        if not matches_any(given, [self._digest(times[0], request.body, secret) for secret in secrets]):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, tolerance)
        return signed_at

    def value(self, body: bytes, secret: Secret, now: datetime) -> str:
        """The header's value as the sender writes it."""
        timestamp = str(to_ms(now) // (1000 if self.unit == "s" else 1))
        return f"{self.time_name}={timestamp},{self.digest_name}={self._digest(timestamp, body, secret).hex()}"

    def _digest(self, timestamp: str, body: bytes, secret: Secret) -> bytes:
        return hmac_sha256(secret.encode(), f"{timestamp}.".encode() + body)


def _named(value: str, name: str) -> Iterator[str]:
    return (part.removeprefix(f"{name}=") for part in value.split(",") if part.startswith(f"{name}="))
