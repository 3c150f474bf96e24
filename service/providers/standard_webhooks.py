"""Standard Webhooks, and Svix, which it comes from: HMAC-SHA256 or Ed25519 over id, time and body."""

from __future__ import annotations

import base64
import re
from binascii import a2b_base64
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from service.domain.clock import iso, to_ms
from service.domain.errors import CommandFailed, Refused
from service.domain.events import Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem, refuse_stale
from service.providers.keys import ed25519_key, ed25519_private_key, load_ed25519_keys
from service.providers.plain_payload import plain_event
from service.providers.signatures import ed25519_verifies, hmac_sha256, matches_any, unix_time
from service.settings.model import Source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_SIGNATURES = 32  # in one header; a rotation needs two, and checking an Ed25519 signature is not free

_SVIX = ("svix-id", "svix-timestamp", "svix-signature")
_STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")
_ID = re.compile(r"[\x20-\x7e]{1,512}")


class StandardWebhooks(Provider):
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""

    info = Info(
        name="standard-webhooks",
        title="Standard Webhooks and Svix",
        doc_url="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
        signs="HMAC-SHA256 (v1) or Ed25519 (v1a) over id, time and body",
        tolerance=300,
        stored_headers=frozenset({*_SVIX, *_STANDARD, "content-type"}),
        auth=("capability",),
        options=("public_keys",),
        guide=Guide(
            setup=(
                "Have the sender post to `https://relay.example.com/hooks/NAME`; with Svix: *Endpoints → Add "
                "endpoint*.",
                "Its secret, `whsec_…`, is one of `secrets`; for Ed25519 its public key, `whpk_…`, is one of "
                "`public_keys`.",
            ),
            events="Your sender says what happened: the last part of `type` (or `event`, `event_type`, `action`) is "
            "`created`, `updated`, `published`, `replaced`, `renamed`, `deleted`, `unpublished` or `restored`; "
            "anything else becomes `unknown`.",
            covered="Body, id and time. The id is the same for retries; other headers are not covered.",
            retries="The standard asks senders to wait 15 to 30 s, to take 2xx for delivered, and to try again for "
            "about three days. Svix tries eight times within 28 hours and switches an endpoint off after five days "
            "of failures.",
            urls="In the payload, of your own making: `url` or `urls`, and `old_url` or `previous_url` for earlier "
            "ones, at the top or within `data`. Any other shape is up to a rule, which sees the whole `payload`.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._hmac_keys: list[bytes] = []
        self._public_keys: list[Ed25519PublicKey] = []
        if source.auth is None:
            self._load(source)

    def _load(self, source: Source) -> None:
        for secret in source.secrets:
            self._add_key("secrets", secret.reveal())
        for given in source.public_keys:
            if given.reveal().startswith("whpk_"):
                self._add_key("public_keys", given.reveal())
                continue
            try:
                self._public_keys += load_ed25519_keys(given.reveal())
            except ValueError as error:
                raise SourceProblem("public_keys", f"not an Ed25519 public key: {error}") from None

    def _add_key(self, setting: str, value: str) -> None:
        if value.startswith("whsk_"):
            raise SourceProblem(setting, "whsk_… is the sender's private key; give its public half, whpk_…")
        try:
            raw = _decoded(value.removeprefix("whpk_").removeprefix("whsec_"))
            if value.startswith("whpk_"):
                self._public_keys.append(ed25519_key(raw))
            else:
                self._hmac_keys.append(raw)
        except ValueError:
            raise SourceProblem(
                setting, "the key is not base64: copy it exactly as the sender shows it (whsec_… or whpk_…)"
            ) from None

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        envelope = _Envelope.of(request)
        signed_at = unix_time(envelope.timestamp, "s")
        scheme = self._matching_scheme(envelope)
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic(scheme, signed_at)

    def _matching_scheme(self, envelope: _Envelope) -> str:
        """One good signature is enough, whatever else is in the list: that is how senders rotate keys."""
        message = envelope.message
        expected = [hmac_sha256(key, message) for key in self._hmac_keys]
        if matches_any(envelope.signatures("v1"), expected):
            return "standard-webhooks-v1"
        signatures = envelope.signatures("v1a") if self._public_keys else []
        if any(ed25519_verifies(key, signature, message) for key in self._public_keys for signature in signatures):
            return "standard-webhooks-v1a"
        raise Refused("signature_mismatch")

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        prefix = "svix" if "svix-id" in sample.headers else "webhook"
        message_id = sample.headers.get(f"{prefix}-id") or _message_id(sample.body, now)
        timestamp = str(to_ms(now) // 1000)
        message = f"{message_id}.{timestamp}.".encode() + sample.body
        if signing_key is not None:
            version, signature = "v1a", ed25519_private_key(signing_key).sign(message)
        elif self._hmac_keys:
            version, signature = "v1", hmac_sha256(self._hmac_keys[0], message)
        else:
            raise CommandFailed(
                "this source knows public keys alone: give the private one (PEM or whsk_…) with --signing-key"
            )
        headers = {
            f"{prefix}-id": message_id,
            f"{prefix}-timestamp": timestamp,
            f"{prefix}-signature": f"{version},{base64.b64encode(signature).decode()}",
        }
        return Sample(sample.body, {**sample.headers, **headers})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse(request.body)
        event_id = request.headers.get("svix-id") or request.headers.get("webhook-id") or None
        event_type = json_body.text(payload, "type") or ""
        event = plain_event(payload, event_type, event_id or sha256(request.body).hexdigest()[:32])
        return Notification(payload=payload, events=(event,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        url = "https://images.example.com/products"
        replaced = {"id": "img_2f1c", "url": f"{url}/hero-v2.jpg", "old_url": f"{url}/hero.jpg", "filename": "hero.jpg"}
        deleted = {"id": "img_2f1c", "url": f"{url}/hero-v2.jpg"}
        return {
            name: _sample(name, data, now) for name, data in (("asset.replaced", replaced), ("asset.deleted", deleted))
        }


class _Envelope(Struct, frozen=True):
    """The three headers and the body."""

    message_id: str
    timestamp: str
    entries: tuple[str, ...]
    body: bytes

    @classmethod
    def of(cls, request: RawRequest) -> _Envelope:
        # Svix's libraries prefer their own names.
        id_name, time_name, signature_name = _SVIX if request.header("svix-signature") else _STANDARD
        message_id = request.required(id_name)
        if not _ID.fullmatch(message_id):
            raise Refused("signature_malformed", f"{id_name} holds what no id does")
        entries = tuple(request.required(signature_name).split(" "))
        if len(entries) > MAX_SIGNATURES:
            raise Refused("signature_malformed", f"more than {MAX_SIGNATURES} signatures in one header")
        return cls(message_id, request.required(time_name), entries, request.body)

    @property
    def message(self) -> bytes:
        return f"{self.message_id}.{self.timestamp}.".encode() + self.body

    def signatures(self, version: str) -> list[bytes]:
        """The decoded signatures of one version; an entry nobody can read is passed over like an unknown version."""
        mark = f"{version},"
        return [
            decoded
            for entry in self.entries
            if entry.startswith(mark) and (decoded := _strict(entry[len(mark) :])) is not None
        ]


def _strict(value: str) -> bytes | None:
    try:
        return a2b_base64(value, strict_mode=True)
    except ValueError:
        return None


def _decoded(value: str) -> bytes:
    """Base64 whose padding was perhaps lost when it was copied; ValueError for anything else, and for nothing."""
    decoded = base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    if not decoded:
        raise ValueError("empty")
    return decoded


def _message_id(body: bytes, now: datetime) -> str:
    return "msg_" + sha256(iso(now).encode() + body).hexdigest()[:24]


def _sample(event_type: str, data: dict[str, Any], now: datetime) -> Sample:
    body = msgspec.json.encode({"type": event_type, "timestamp": iso(now), "data": data})
    return Sample(body, {"content-type": "application/json", "webhook-id": _message_id(body, now)})
