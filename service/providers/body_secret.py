"""Senders that put their secret into the body, as the value of one field."""

from __future__ import annotations

import re
from datetime import datetime
from typing import ClassVar

import msgspec

from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.requests import Authentic, RawRequest
from service.providers import json_body
from service.providers.base import Provider, Sample
from service.providers.credentials import HIDDEN
from service.providers.signatures import matches_any
from service.settings.model import Source


class BodySecret(Provider):
    """What is left to say is the field's name, and what the rest of the body means. The secret is never stored."""

    secret_field: ClassVar[str]

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        # The last quotation mark may be missing: of a refused body only the beginning is kept.
        self._field = re.compile(rb'("%s"\s*:\s*)"(?:[^"\\]|\\.)*"?' % self.secret_field.encode(), re.DOTALL)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = self._given(request.body)
        if given is None:
            raise Refused("credential_missing", f"the body has no {self.secret_field}")
        if not matches_any([given.encode()], [secret.encode() for secret in self.source.secrets]):
            raise Refused("credential_mismatch")
        if self._given(self.stored_body(request.body)) != HIDDEN:
            raise Refused("credential_malformed", f"{self.secret_field} is spelled so that it could not be blotted out")
        return Authentic(f"{self.info.name}-secret")

    def _given(self, body: bytes) -> str | None:
        try:
            return json_body.text(json_body.parse(body), self.secret_field)
        except Unreadable as error:
            raise Refused("body_malformed", str(error)) from None

    def stored_body(self, body: bytes) -> bytes:
        return self._field.sub(rb'\1"%s"' % HIDDEN.encode(), body)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        try:
            document = json_body.parse_object(sample.body)
        except Unreadable as error:
            raise CommandFailed(f"the secret goes into the body, and that cannot be: {error}") from None
        with_secret = {**document, self.secret_field: self.source.secrets[0].reveal()}
        return Sample(msgspec.json.encode(with_secret), sample.headers)
