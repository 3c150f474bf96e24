"""One header with the signature of the received body in base64, HMAC-SHA256 as a rule, and nothing else signed."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import ClassVar

from service.domain.errors import Refused
from service.domain.requests import Authentic, RawRequest
from service.providers.base import Provider, Sample
from service.providers.signatures import from_base64, hmac_sha256, matches_any


class BodySignature(Provider):
    """What is left to say is the header's name, and what the body means."""

    signature_header: ClassVar[str]

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = from_base64(request.required(self.signature_header))
        if not matches_any([given], self._signatures(request.body)):
            raise Refused("signature_mismatch")
        return Authentic(f"{self.info.name}-v1")

    def signing_keys(self) -> list[bytes]:
        """Every key that a signature may be made with; the sample's is the first."""
        return [secret.encode() for secret in self.source.secrets]

    def _signatures(self, body: bytes) -> list[bytes]:
        return [self.signature_of(key, body) for key in self.signing_keys()]

    def signature_of(self, key: bytes, body: bytes) -> bytes:
        """The signature of a body, for those who make it in their own way."""
        return hmac_sha256(key, body)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        signature = base64.b64encode(self._signatures(sample.body)[0]).decode()
        return Sample(sample.body, {**sample.headers, self.signature_header: signature})
