"""Transloadit: HMAC over one field of a form, which is the status of an Assembly; the files that came out of it."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample
from service.providers.delivery_urls import delivery_urls
from service.providers.multipart_form import form_body, form_fields
from service.providers.signatures import from_hex, matches_any

_STATUS = "transloadit"
_SIGNATURE = "signature"
_LENGTHS = {"sha384": 48, "sha256": 32, "sha1": 20}  # as in Transloadit's own library
_COMPLETED = "ASSEMBLY_COMPLETED"


class Transloadit(Provider):
    """https://transloadit.com/docs/topics/assembly-notifications/

    The secret is the Auth Secret of the account's key.
    """

    info = Info(
        name="transloadit",
        title="Transloadit",
        doc_url="https://transloadit.com/docs/topics/assembly-notifications/",
        signs="HMAC-SHA384, SHA-256 or SHA-1 over the Assembly's status",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        guide=Guide(
            setup=(
                'In the Template or the Assembly: `"notify_url": "https://relay.example.com/hooks/NAME"`.',
                "`secrets`: the Auth Secret of the account's key.",
            ),
            events="Each image in the results of a completed Assembly becomes `updated`: whether it was exported "
            "over another one is not told. Other states are ignored, and so is what is no image.",
            covered="The form's field `transloadit`, which is all that is read. No time; a repeated notification is "
            "known by the Assembly's id and state.",
            retries="2xx counts, redirects do not; five more attempts with growing pauses. There is nothing to "
            "switch off: the URL belongs to each Assembly.",
            urls="In the payload: `results.STEP[].ssl_url`, where the export put the file; a site with another host "
            "has a rule with `on_host`.",
        ),
    )

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        try:
            fields = form_fields(request.body)
        except ValueError as error:
            raise Refused("signature_missing", f"the signature is a field of a form: {error}") from None
        if not fields.get(_SIGNATURE) or _STATUS not in fields:
            raise Refused("signature_missing", f"the form has no {_STATUS} or no {_SIGNATURE}")
        algorithm, colon, digits = fields[_SIGNATURE].decode("latin-1").rpartition(":")
        if colon and algorithm not in _LENGTHS:
            raise Refused("signature_malformed", f"an unknown kind of signature: {algorithm}")
        algorithm = algorithm or "sha1"  # the oldest kind has no name in front of it
        given = from_hex(digits, lengths=[_LENGTHS[algorithm]])
        if not matches_any([given], self._signatures(algorithm, fields[_STATUS])):
            raise Refused("signature_mismatch")
        return Authentic(f"transloadit-{algorithm}")

    def _signatures(self, algorithm: str, status: bytes) -> list[bytes]:
        return [hmac.digest(secret.encode(), status, algorithm) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        signature = f"sha384:{self._signatures('sha384', sample.body)[0].hex()}"
        body, content_type = form_body({_STATUS: sample.body, _SIGNATURE: signature.encode()})
        return Sample(body, {**sample.headers, "content-type": content_type})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(_status(request.body))
        event_id = _event_id(payload)
        state = json_body.first_text(payload, "ok", "error")
        if state != _COMPLETED:
            return Notification(payload=payload, instead=Ignored(f"the Assembly's state is {state}"), event_id=event_id)
        events = tuple(_events(payload))
        instead = None if events else Ignored("no image came out of the Assembly")
        return Notification(payload=payload, events=events, instead=instead, event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"completed": _sample(now)}


def _status(body: bytes) -> bytes:
    """The form's field, or the body itself where the status was sent or saved alone."""
    if body.startswith(b"{"):
        return body
    try:
        return form_fields(body)[_STATUS]
    except (ValueError, KeyError) as error:
        raise Unreadable(f"the body is no form with a field {_STATUS}: {error}") from None


def _event_id(payload: dict[str, Any]) -> str | None:
    """A notification sent again, by Transloadit or by hand, is about the same Assembly in the same state."""
    assembly_id = json_body.text(payload, "assembly_id")
    return assembly_id and f"{assembly_id} {json_body.first_text(payload, 'ok', 'error')}"


def _events(payload: dict[str, Any]) -> Iterator[AssetEvent]:
    """A file may have been exported over another one, which nobody says: each counts as updated."""
    for files in json_body.obj(payload, "results").values():
        for file in files if isinstance(files, list) else []:
            urls, mime_type = delivery_urls(file, "ssl_url", "url"), json_body.text(file, "mime")
            if urls and (mime_type is None or mime_type.startswith("image/")):
                yield AssetEvent(
                    kind=AssetKind.UPDATED,
                    id=urls[0],
                    urls=urls,
                    filename=json_body.text(file, "name"),
                    mime_type=mime_type,
                )


def _sample(now: datetime) -> Sample:
    assembly_id = sha256(iso(now).encode()).hexdigest()[:32]
    url = "https://s3.amazonaws.com/my-bucket/products/hero.jpg"
    file = {"id": "b4b0d0e6", "name": "hero.jpg", "ext": "jpg", "mime": "image/jpeg", "ssl_url": url}
    body = {
        "ok": _COMPLETED,
        "http_code": 200,
        "message": "The Assembly was successfully completed.",
        "assembly_id": assembly_id,
        "assembly_ssl_url": f"https://api2-eu.transloadit.com/assemblies/{assembly_id}",
        "results": {"optimized": [file]},
    }
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
