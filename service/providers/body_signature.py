"""One header with the signature of the received body, HMAC-SHA256 as a rule, and nothing else signed."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import ClassVar

from service.domain.errors import Refused
from service.domain.requests import Authentic, RawRequest
from service.providers.base import Provider, Sample
from service.providers.signatures import from_base64, from_hex, hmac_sha256, matches_any


class BodySignature(Provider):
    """A signature in base64. What is left to say is the header's name, and what the body means."""

    signature_header: ClassVar[str]
    signature_prefix: ClassVar[str] = ""
    scheme: ClassVar[str] = "v1"

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        value = request.required(self.signature_header)
        if not value.startswith(self.signature_prefix):
            raise Refused("signature_malformed", f"the signature does not begin with {self.signature_prefix}")
        given = self.decoded(value.removeprefix(self.signature_prefix))
        if not matches_any([given], self._signatures(request.body)):
            raise Refused("signature_mismatch")
        return Authentic(f"{self.info.name}-{self.scheme}")

    def signing_keys(self) -> list[bytes]:
        """Every key that a signature may be made with; the sample's is the first."""
        return [secret.encode() for secret in self.source.secrets]

    def _signatures(self, body: bytes) -> list[bytes]:
        return [self.signature_of(key, body) for key in self.signing_keys()]

    def signature_of(self, key: bytes, body: bytes) -> bytes:
        """The signature of a body, for those who make it in their own way."""
        return hmac_sha256(key, body)

    def decoded(self, text: str) -> bytes:
        """The signature's bytes; raises Refused."""
        return from_base64(text)

    def encoded(self, signature: bytes) -> str:
        return base64.b64encode(signature).decode()

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        value = self.signature_prefix + self.encoded(self._signatures(sample.body)[0])
        return Sample(sample.body, {**sample.headers, self.signature_header: value})


class HexBodySignature(BodySignature):
    """The same in lower-case hex."""

    signature_bytes: ClassVar[int] = 32

    def decoded(self, text: str) -> bytes:
        return from_hex(text, lengths=[self.signature_bytes])

    def encoded(self, signature: bytes) -> str:
        return signature.hex()
