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
        self._written = re.compile(  # in what is no JSON as a whole, such as a body that was cut short
            rb'"%s"\s*:\s*"(?:[^"\\]|\\(?:.|\Z))*("|\Z)' % self.secret_field.encode(), re.DOTALL
        )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        try:
            given = json_body.text(json_body.parse_object(request.body), self.secret_field)
        except Unreadable:
            raise Refused("credential_malformed", "the body that should hold the secret is no JSON object") from None
        if given is None:
            raise Refused("credential_missing", f"the body has no {self.secret_field}")
        if not matches_any([given.encode()], [secret.encode() for secret in self.source.secrets]):
            raise Refused("credential_mismatch")
        return Authentic(f"{self.info.name}-secret")

    def stored_body(self, body: bytes) -> bytes:
        try:
            document = json_body.parse(body)
        except Unreadable:
            return self._written.sub(f'"{self.secret_field}":"{HIDDEN}"'.encode(), body)
        if not isinstance(document, dict) or document.get(self.secret_field) is None:
            return body
        return msgspec.json.encode(document | {self.secret_field: HIDDEN})

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        try:
            document = json_body.parse_object(sample.body)
        except Unreadable as error:
            raise CommandFailed(f"the secret goes into the body, and that cannot be: {error}") from None
        with_secret = document | {self.secret_field: self.source.secrets[0].reveal()}
        return Sample(msgspec.json.encode(with_secret), sample.headers)
