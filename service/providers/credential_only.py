"""Senders that sign nothing: whoever holds the secret is believed, whatever the body says."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from msgspec.structs import replace

from service.domain.errors import Refused
from service.domain.requests import Authentic, RawRequest
from service.providers.base import Provider, Sample
from service.settings.model import Auth, Source

UNSIGNED_AUTH = ("bearer", "header", "basic", "capability")
"""What a sender can do whose requests take headers of the operator's choice."""


class CredentialOnly(Provider):
    """A source without `auth:` expects its secret as `usual_auth` says: most of these can send a bearer token."""

    usual_auth: ClassVar[Auth] = Auth(bearer=True)

    @classmethod
    def completed(cls, source: Source) -> Source:
        return source if source.auth is not None or source.unverified else replace(source, auth=cls.usual_auth)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        raise Refused("signature_missing", f"{self.info.name} signs nothing")

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        return sample
