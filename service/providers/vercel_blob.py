"""Vercel Blob: HMAC-SHA256 or Ed25519 over the body; uploads that a browser finished."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from service.domain.clock import iso
from service.domain.errors import CommandFailed, Refused
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem
from service.providers.delivery_urls import delivery_urls
from service.providers.keys import ed25519_private_key, load_ed25519_keys
from service.providers.plain_provider import delivery_id
from service.providers.signatures import ed25519_verifies, from_hex, hmac_sha256, matches_any
from service.settings.model import Source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

STALE = 60.0  # seconds; https://vercel.com/changelog/vercel-blob-now-supports-consistent-reads-on-private-storage

_SIGNATURE = "x-vercel-signature"
_EVENT = "blob.upload-completed"
_HMAC, _ED25519 = 32, 64  # the length alone tells which of the two it is


class VercelBlob(Provider):
    """https://vercel.com/docs/vercel-blob/client-upload

    `handleUpload` signs with the store's BLOB_READ_WRITE_TOKEN (`secrets`), `handleUploadPresigned` with the key whose
    public half is BLOB_WEBHOOK_PUBLIC_KEY (`public_keys`). Only client uploads are told of: neither a server's `put`
    nor a deletion. The library signs JSON.stringify of the body, which is what it sends.
    """

    info = Info(
        name="vercel-blob",
        title="Vercel Blob",
        doc_url="https://vercel.com/docs/vercel-blob/client-upload",
        signs="HMAC-SHA256 or Ed25519 over the body",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, "content-type"}),
        options=("public_keys",),
        guide=Guide(
            setup=(
                "Where the site makes client tokens: `generateClientTokenFromReadWriteToken({…, onUploadCompleted: "
                '{callbackUrl: "https://relay.example.com/hooks/NAME"}})`. `handleUpload` takes callbacks at its own '
                "path alone: there, post the callback's body with its `x-vercel-signature` on to this address.",
                "`secrets`: the store's `BLOB_READ_WRITE_TOKEN`; for presigned uploads `public_keys`: what "
                "`BLOB_WEBHOOK_PUBLIC_KEY` holds.",
                "`settle: 60`: an overwritten file may be served for a minute more.",
            ),
            events="`blob.upload-completed` becomes `updated`, as an upload over another one looks the same. Only "
            "client uploads are told of: a server's `put` and deletions are not.",
            covered="The body alone; no time and no id. The same body again is taken for another event.",
            retries="Unknown: time-out, retries, and whether it is switched off are not documented.",
            urls="In the payload: `payload.blob.url`, which stays the same when a file is overwritten.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._public_keys: list[Ed25519PublicKey] = []
        for given in source.public_keys:
            try:
                self._public_keys += load_ed25519_keys(given.reveal())
            except ValueError as error:
                raise SourceProblem("public_keys", f"not an Ed25519 public key: {error}") from None

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        if source.settle < STALE:
            return [f"Vercel Blob may serve an overwritten file for {STALE:g} s more: `settle: {STALE:g}` waits for it"]
        return []

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = from_hex(request.required(_SIGNATURE), lengths=[_HMAC, _ED25519])
        if len(given) == _HMAC and matches_any([given], self._digests(request.body)):
            return Authentic("vercel-blob-sha256")
        if len(given) == _ED25519 and any(ed25519_verifies(one, given, request.body) for one in self._public_keys):
            return Authentic("vercel-blob-ed25519")
        raise Refused("signature_mismatch")

    def _digests(self, body: bytes) -> list[bytes]:
        return [hmac_sha256(secret.encode(), body) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        if signing_key is not None:
            signature = ed25519_private_key(signing_key).sign(sample.body)
        elif self.source.secrets:
            signature = self._digests(sample.body)[0]
        else:
            raise CommandFailed("this source knows public keys alone: give the private one in PEM with --signing-key")
        return Sample(sample.body, {**sample.headers, _SIGNATURE: signature.hex()})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        # The body has neither id nor time, and two uploads to one path are the same bytes: each delivery counts.
        return Notification(payload=payload, events=(found,), event_id=delivery_id(request, payload))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"upload-completed": _sample(now)}


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    event, blob = json_body.text(payload, "type"), json_body.obj(payload, "payload", "blob")
    if event != _EVENT:
        return Ignored(f"a {event} event is no finished upload")
    urls = delivery_urls(blob, "url")
    if not urls:
        return Ignored("the upload has no URL")
    content_type = json_body.text(blob, "contentType")
    if content_type is not None and not content_type.startswith("image/"):
        return Ignored(f"the file is {content_type}, no image")
    pathname = json_body.text(blob, "pathname")
    return AssetEvent(
        kind=AssetKind.UPDATED,  # an upload over another one (`allowOverwrite`) keeps the URL and looks the same
        id=urls[0],
        urls=urls,
        key=pathname,
        filename=pathname and pathname.rpartition("/")[2],
        mime_type=content_type,
    )


def _sample(now: datetime) -> Sample:
    pathname = f"products/hero-{sha256(iso(now).encode()).hexdigest()[:30]}.jpg"
    url = f"https://fakestoreid.public.blob.vercel-storage.com/{pathname}"
    blob = {
        "url": url,
        "downloadUrl": f"{url}?download=1",
        "pathname": pathname,
        "contentType": "image/jpeg",
        "contentDisposition": 'inline; filename="hero.jpg"',
    }
    body = {"type": _EVENT, "payload": {"blob": blob, "tokenPayload": None}}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
