"""`auth: {jwt: …}`: a bearer token that a cloud, or whoever holds a key, signed for the sender."""

from __future__ import annotations

import base64
from datetime import datetime
from hashlib import sha256
from typing import Self

from service.domain.clock import to_ms
from service.domain.errors import CommandFailed, Refused
from service.domain.requests import Authentic, RawRequest
from service.providers import json_body
from service.providers.base import SourceProblem
from service.providers.credentials import Credential, authorization
from service.providers.json_web_tokens import (
    Key,
    Token,
    check_signature,
    parsed_keys,
    signed_token,
    token_of_secret,
)
from service.providers.signatures import hmac_sha256, matches_any, to_base64url
from service.providers.token_claims import Expected, expected_of
from service.settings.model import Jwt, Source

_SAMPLE_LIFETIME = 3600  # seconds, as Google's


class TokenCredential(Credential):
    """Which token lets in: by whom it is signed, and what it must say.

    `secrets` sign by HS256, `pinned` keys take the place of what `expected.jwks_url` publishes. `body_claim` names the
    claim that binds the body; no token of Google's or Microsoft's has one.
    """

    __slots__ = ("body_claim", "expected", "pinned", "secrets")

    kind = "jwt"

    def __init__(
        self, expected: Expected, secrets: tuple[bytes, ...], pinned: tuple[Key, ...], body_claim: str | None
    ) -> None:
        self.expected = expected
        self.secrets = secrets
        self.pinned = pinned
        self.body_claim = body_claim

    @classmethod
    def of(cls, settings: Jwt, source: Source) -> Self:
        """Raises SourceProblem."""
        if source.secrets and source.public_keys:
            raise SourceProblem("public_keys", "beside `secrets` it is not clear which of them signs: give one of them")
        expected = expected_of(settings, by_secret=bool(source.secrets))
        pinned = _pinned(source)
        if not source.secrets and not pinned and expected.jwks_url is None:
            raise SourceProblem("auth.jwt", "has nobody's keys: give `secrets`, `public_keys` or `jwks_url`")
        if pinned and settings.jwks_url is not None:
            raise SourceProblem("auth.jwt.jwks_url", "does nothing beside `public_keys`: give one of them")
        secrets = tuple(secret.encode() for secret in source.secrets)
        return cls(expected, secrets, pinned, settings.body_hash_claim)

    @property
    def challenge(self) -> str:
        return "Bearer"

    def verify(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        token = self._token(request)
        if token.algorithm == "HS256":
            expected = [hmac_sha256(secret, token.message) for secret in self.secrets]
            if not matches_any([token.signature], expected):
                raise Refused("signature_mismatch")
        else:
            check_signature(token, self.pinned or _published(key))
        self.expected.check(token.claims, now)
        self._check_body(token, request.body)
        # One token lets in many requests for an hour: its time is not the event's.
        return Authentic(self.kind)

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        if self.pinned or self.expected.jwks_url is None:
            return ()
        self._token(request)  # a stranger without so much as a token causes no fetch
        return (self.expected.jwks_url,)

    def _token(self, request: RawRequest) -> Token:
        """The token, of an algorithm that was agreed upon; nothing else in it is believed yet."""
        given = authorization(request, "bearer")
        if given is None:
            raise Refused("credential_missing")
        token = Token.parse(given.decode("latin-1"))
        if token.algorithm not in self.expected.algorithms:
            raise Refused("token_algorithm_refused", "the token is signed by another algorithm than agreed upon")
        if self.expected.needs_key_id and token.key_id is None:
            raise Refused("token_key_id_missing", "the token does not say which key signed it")
        return token

    def _check_body(self, token: Token, body: bytes) -> None:
        """https://developer.vonage.com/en/getting-started/concepts/webhooks: `payload_hash` is the body's SHA-256."""
        if self.body_claim is None:
            return
        digest = sha256(body).digest()
        spelled = [digest.hex().encode(), base64.b64encode(digest), to_base64url(digest).encode()]
        given = json_body.text(token.claims, self.body_claim) or ""
        if not matches_any([given.encode(errors="replace")], spelled):
            raise Refused("body_not_signed", f"the token's {self.body_claim} is not the body's SHA-256")

    def carried(self, path: str, body: bytes, now: datetime, signing_key: bytes | None) -> tuple[str, dict[str, str]]:
        seconds = to_ms(now) // 1000
        claims = {**self.expected.sample, "iat": seconds, "nbf": seconds, "exp": seconds + _SAMPLE_LIFETIME}
        if self.body_claim is not None:
            claims[self.body_claim] = sha256(body).hexdigest()
        if self.secrets:
            token = token_of_secret(claims, self.secrets[0])
        elif signing_key is None:
            raise CommandFailed(
                "the issuer alone has its key: give a private key (PEM) with --signing-key, and its public half to the "
                "source as public_keys"
            )
        else:
            token = signed_token(claims, self.expected.algorithms[0], signing_key, self.pinned)
        return path, {"authorization": f"Bearer {token}"}

    def without_secret(self, path: str) -> str:
        return path


def _pinned(source: Source) -> tuple[Key, ...]:
    try:
        return tuple(key for given in source.public_keys for key in parsed_keys(given.encode()))
    except ValueError as error:
        raise SourceProblem("public_keys", str(error)) from None


def _published(document: bytes | None) -> tuple[Key, ...]:
    if not document:
        raise Refused("key_missing", "no key that the issuer publishes was at hand")
    try:
        return parsed_keys(document)
    except ValueError as error:
        raise Refused("key_unreadable", str(error)) from None
