"""Strapi: no signature; events of the media library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification, TestPing
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.delivery_urls import absolute
from service.providers.s3_records import bases_of
from service.settings.model import Source

_EVENT = "x-strapi-event"
_LOCAL = "local"  # the upload provider that keeps files beside Strapi, and the only one whose URLs are relative

# https://docs.strapi.io/cms/backend-customization/webhooks#available-events. An update is a new text as often as a new
# file; a replaced file keeps its URL.
_KINDS = {
    "media.create": AssetKind.CREATED,
    "media.update": AssetKind.UPDATED,
    "media.delete": AssetKind.DELETED,
}


class Strapi(CredentialOnly):
    """https://docs.strapi.io/cms/backend-customization/webhooks"""

    info = Info(
        name="strapi",
        title="Strapi",
        doc_url="https://docs.strapi.io/cms/backend-customization/webhooks",
        signs="nothing: a secret header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({_EVENT, "content-type"}),
        auth=UNSIGNED_AUTH,
        options=("bases",),
        guide=Guide(
            setup=(
                "*Settings → Global settings → Webhooks → Create new webhook*: URL "
                "`https://relay.example.com/hooks/NAME`.",
                "Headers: `Authorization` with the value `Bearer SECRET`; SECRET is one of `secrets`.",
                "Events: **Media** create, update and delete. *Trigger* sends a test.",
                "For files on Strapi's own disk: `bases: {local: https://cms.example.com/}`.",
            ),
            events="`media.create`, `media.update` and `media.delete` become `created`, `updated` and `deleted`. An "
            "update is a new text as often as a new file, and Strapi does not say which. Entries are ignored.",
            covered="Nothing: Strapi signs neither body nor time. Whoever knows the header may say anything, and "
            "replay it.",
            retries="An answer is due within 10 s, nobody looks at it, and nothing is retried: what the relay "
            "misses is lost. Webhooks are never switched off.",
            urls="In the payload: the file's URL and those of its formats, which stay the same when the file is "
            "replaced. They are relative where Strapi keeps the files itself; `bases` makes them absolute, the "
            "rule's `site-path` relative again.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._bases = bases_of(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event = json_body.text(payload, "event")
        if event is None:
            raise Unreadable("the body names no event")
        if event == "trigger-test":
            return Notification(payload=payload, instead=TestPing("Strapi's test button"))
        if not event.startswith("media."):
            return Notification(payload=payload, instead=Ignored(f"{event} is not about a file"))
        found = self._asset_event(event, payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        return Notification(payload=payload, events=(found,))

    def _asset_event(self, event: str, payload: dict[str, Any]) -> AssetEvent | Ignored:
        media = json_body.obj(payload, "media")
        identity = json_body.scalar(media, "documentId") or json_body.scalar(media, "id")
        if identity is None:
            raise Unreadable("the file has neither documentId nor id")
        mime_type = json_body.text(media, "mime")
        if mime_type is not None and not mime_type.startswith("image/"):
            return Ignored(f"about a file of type {mime_type}, not an image")
        return AssetEvent(
            kind=_KINDS.get(event, AssetKind.UNKNOWN),
            id=identity,
            urls=tuple(dict.fromkeys(self._urls(media))),
            filename=json_body.text(media, "name"),
            mime_type=mime_type,
            occurred_at=json_body.moment(payload, "createdAt"),  # when it was sent, whatever happened to the file
        )

    def _urls(self, media: dict[str, Any]) -> Iterator[str]:
        """The file's URL and those of its smaller formats, which a replacement makes anew under the same names."""
        base = self._bases.get(json_body.text(media, "provider") or _LOCAL)
        for file in (media, *json_body.obj(media, "formats").values()):
            url = json_body.text(file, "url")
            if url is not None:
                yield absolute(url, base)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        media = _sample_media(sha256(iso(now).encode()).hexdigest()[:10])
        return {
            "media.update": _sample("media.update", {"media": media}, now),
            "media.delete": _sample("media.delete", {"media": media}, now),
            "trigger-test": _sample("trigger-test", {}, now),
        }


def _sample(event: str, fields: dict[str, Any], now: datetime) -> Sample:
    body = {"event": event, "createdAt": iso(now), **fields}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json", _EVENT: event})


def _sample_media(tail: str) -> dict[str, Any]:
    def file(prefix: str = "") -> dict[str, Any]:
        return {"hash": f"{prefix}hero_{tail}", "ext": ".jpg", "url": f"/uploads/{prefix}hero_{tail}.jpg"}

    named = {"id": 1, "documentId": "qbz2o1m7gx4jw0vfh5dk8lcn", "name": "hero.jpg", "mime": "image/jpeg"}
    return {
        **named,
        **file(),
        "formats": {"thumbnail": file("thumbnail_"), "small": file("small_")},
        "provider": "local",
    }
