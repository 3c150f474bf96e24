"""HTTP Message Signatures (RFC 9421) by HMAC-SHA256 or Ed25519, over components that must include the body's digest."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from service.domain.clock import to_ms
from service.domain.errors import CommandFailed, Refused
from service.domain.requests import Authentic, RawRequest
from service.providers import json_body
from service.providers.base import Guide, Info, Sample, SourceProblem, refuse_stale
from service.providers.keys import ed25519_private_key, load_ed25519_keys
from service.providers.message_signature import (
    COMPONENT,
    DIGEST,
    INPUT,
    SIGNATURE,
    Input,
    byte_sequences,
    check_digest,
    parse_inputs,
)
from service.providers.plain_provider import PlainProvider
from service.providers.signatures import ed25519_verifies, hmac_sha256, matches_any, unix_time
from service.settings.model import Source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_PLACES = ("@path", "@request-target", "@target-uri")
_SAMPLE_COMPONENTS = ("@method", "@path", DIGEST, "content-type")


class Rfc9421(PlainProvider):
    """https://www.rfc-editor.org/rfc/rfc9421

    Not verified: RSA and ECDSA, the component @query-param, and components with parameters. @target-uri and @scheme are
    those of `registered_url`. @authority is the Host header as it arrives here: a proxy in between must pass it on.
    """

    info = Info(
        name="rfc9421",
        title="HTTP Message Signatures",
        doc_url="https://www.rfc-editor.org/rfc/rfc9421",
        signs="HMAC-SHA256 (base64 secrets) or Ed25519 over listed components, content-digest among them",
        tolerance=300,
        stored_headers=frozenset({INPUT, SIGNATURE, DIGEST, "content-type"}),
        auth=("capability",),
        options=("public_keys", "covered", "registered_url"),
        guide=Guide(
            setup=(
                "Have the sender POST JSON to `https://relay.example.com/hooks/NAME` with `Content-Digest` (RFC 9530, "
                "sha-256 or sha-512), `Signature-Input` and `Signature`, and a `created` time among the parameters.",
                "`secrets: [...]` in base64 for `hmac-sha256`, or `public_keys` (PEM or JWKS) for `ed25519`. A key is "
                "good for its own algorithm alone, whatever `alg` says.",
                "It must cover `content-digest`, `@method`, and one of `@path`, `@request-target` and `@target-uri`. "
                "`covered: [content-digest, '@authority']` asks for these components instead. `@target-uri` and "
                "`@scheme` are told by `registered_url`, the URL exactly as the sender has it.",
            ),
            events="Whatever the sender likes: the last part of `type` (`asset.replaced`, `asset.deleted`, …) is the "
            "kind, anything else is `unknown` and left to rules.",
            covered="What `Signature-Input` lists and nothing else; the body by its digest. `created` may be 300 s "
            "off, and `expires` ends it earlier. Nonces are not remembered: within the time, the same bytes are known "
            "as the same event.",
            retries="The sender's own; any 2xx is an acknowledgement.",
            urls="In the payload: `url`, `urls`, `old_url` and the like, below `data` or at the top.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._hmac_keys: list[bytes] = []
        self._public_keys: list[Ed25519PublicKey] = []
        self._covered = tuple(name.lower() for name in source.covered)
        if not all(map(COMPONENT.fullmatch, self._covered)):
            raise SourceProblem("covered", 'names components such as "@path", "content-digest" and "content-type"')
        if source.registered_url is not None and not json_body.is_url(source.registered_url):
            raise SourceProblem("registered_url", "is no URL: give it as the sender has it, with https://")
        if source.auth is None:
            self._load(source)

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        if source.covered and DIGEST not in map(str.lower, source.covered):
            return ["`covered` is without content-digest: whoever has one signed request may send any body with it"]
        return []

    def _load(self, source: Source) -> None:
        for secret in source.secrets:
            try:
                self._hmac_keys.append(base64.b64decode(secret.reveal(), validate=True))
            except ValueError:
                raise SourceProblem("secrets", "the key is not base64") from None
        for given in source.public_keys:
            try:
                self._public_keys += load_ed25519_keys(given.reveal())
            except ValueError as error:
                raise SourceProblem("public_keys", f"not an Ed25519 public key: {error}") from None

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        inputs = parse_inputs(request.required(INPUT))
        signatures = byte_sequences(request.required(SIGNATURE))
        failure = Refused("signature_mismatch", "no signature stands under the name of its input")
        for label, given in reversed(inputs.items()):  # of those that fail, the first says why
            if label not in signatures:
                continue
            try:
                return self._authentic(given, signatures[label], request, now)
            except Refused as error:
                failure = error
        raise failure

    def _authentic(self, given: Input, signature: bytes, request: RawRequest, now: datetime) -> Authentic:
        """What one signature proves; raises Refused. Nothing is said of it before it is right."""
        scheme = self._scheme(given, signature, request)
        if scheme is None:
            raise Refused("signature_mismatch")
        _check_covered(given.components, self._covered)
        if DIGEST in given.components:
            check_digest(request)
        signed_at = unix_time(given.parameters.get("created", ""), "s")
        refuse_stale(signed_at, now, self.tolerance)
        if "expires" in given.parameters and unix_time(given.parameters["expires"], "s") < now:
            raise Refused("timestamp_too_old", "the signature has expired")
        return Authentic(scheme, signed_at)

    def _scheme(self, given: Input, signature: bytes, request: RawRequest) -> str | None:
        """What verified. A key is good for its own algorithm alone, whatever `alg` says."""
        message = given.message(request, self.source.registered_url)
        algorithm = given.parameters.get("alg")
        expected = [hmac_sha256(key, message) for key in self._hmac_keys]
        if algorithm in (None, "hmac-sha256") and matches_any([signature], expected):
            return "rfc9421-hmac-sha256"
        keys = self._public_keys if algorithm in (None, "ed25519") else []
        if any(ed25519_verifies(key, signature, message) for key in keys):
            return "rfc9421-ed25519"
        return None

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        digest = base64.b64encode(sha256(sample.body).digest()).decode()
        headers = {"content-type": "application/json", **sample.headers, DIGEST: f"sha-256=:{digest}:"}
        listed = " ".join(f'"{name}"' for name in self._covered or _SAMPLE_COMPONENTS)
        given = f'sig1=({listed});created={to_ms(now) // 1000};keyid="relay"'
        request = RawRequest.of("POST", path, headers, sample.body)
        try:
            message = parse_inputs(given)["sig1"].message(request, self.source.registered_url)
        except Refused as error:
            raise CommandFailed(f"a sample cannot cover what `covered` asks for: {error}") from None
        if signing_key is not None:
            signature = ed25519_private_key(signing_key).sign(message)
        elif self._hmac_keys:
            signature = hmac_sha256(self._hmac_keys[0], message)
        else:
            raise CommandFailed("this source knows public keys alone: give the private one (PEM) with --signing-key")
        headers |= {INPUT: given, SIGNATURE: f"sig1=:{base64.b64encode(signature).decode()}:"}
        return Sample(sample.body, headers)


def _check_covered(components: Collection[str], asked: Sequence[str]) -> None:
    """https://www.rfc-editor.org/rfc/rfc9421#name-insufficient-coverage: what is signed is the sender's choice, what
    must be is not."""
    if not asked and not any(place in components for place in _PLACES):
        raise Refused("coverage_insufficient", f"none of {', '.join(_PLACES)} is signed")
    for name in asked or (DIGEST, "@method"):
        if name not in components:
            raise Refused("coverage_insufficient", f"{name} is not signed")
