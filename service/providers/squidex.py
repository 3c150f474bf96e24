"""Squidex: a digest over body and secret; events of assets, whose URL is made of app and id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import BodySignature
from service.providers.delivery_urls import delivery_host
from service.providers.plain_provider import json_sample
from service.providers.signatures import digest
from service.settings.model import Source

# https://github.com/Squidex/squidex (`AssetChangedTriggerHandler.cs`): Updated is a new file, Annotated other metadata.
_KINDS = {
    "Created": AssetKind.CREATED,
    "Updated": AssetKind.REPLACED,
    "Annotated": AssetKind.UPDATED,
    "Deleted": AssetKind.DELETED,
}
_OF_ASSETS = ("fileHash", "mimeType", "fileName")  # events of content have names such as Created too, and none of these


class Squidex(BodySignature):
    """https://docs.squidex.io/05-integrated/webhooks.html

    `Sha256(RequestBody + Secret)` is a digest and no HMAC, here as in `WebhookFlowStep.cs` of
    https://github.com/Squidex/squidex. Without a secret Squidex signs nothing.
    """

    info = Info(
        name="squidex",
        title="Squidex",
        doc_url="https://docs.squidex.io/05-integrated/webhooks.html",
        signs="SHA-256 over body and secret",
        tolerance=None,
        stored_headers=frozenset({"x-signature", "content-type"}),
        options=("cdn_host",),
        guide=Guide(
            setup=(
                "*Rules → New rule*: trigger **Asset changed**, no condition; action **Webhook**.",
                "URL `https://relay.example.com/hooks/NAME`, method POST, a **shared secret** that is one of "
                "`secrets`, no payload template.",
                "`cdn_host`: the host the site loads `/api/assets/…` from, such as `cloud.squidex.io`.",
            ),
            events="`Created` becomes `created`, `Updated` (a new file) `replaced`, `Annotated` (other metadata, the "
            "focus point among them) `updated`, `Deleted` `deleted`. Events of content, and whatever is no image, are "
            "ignored.",
            covered="The body, which has a time of its own that is not held against the clock; not the headers. The "
            "same body again is a repetition. For methods other than POST Squidex signs a body that it does not send.",
            retries="Any 2xx counts. By its documentation a failure is sent again after seconds, 5 minutes, 1, 6 and "
            "12 hours, and an event is dropped after two days; whether that, and its time-out of 2 s, still hold for "
            "rules is unknown (newer releases give an action 10 s), as is whether a rule is ever switched off.",
            urls="Computed: `https://`, `cdn_host`, `/api/assets/`, the app's name and the asset's id, and once more "
            "with its slug; both stay when the file is replaced. A rule names other queries (`?version=`).",
        ),
    )
    signature_header = "x-signature"

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._host = delivery_host(source)

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        if source.rules is None and source.cdn_host is None:
            return ["without `cdn_host` an asset has no URL: the default rule purges nothing for it"]
        return []

    def signature_of(self, key: bytes, body: bytes) -> bytes:
        return digest("sha256", body + key)

    def read(self, request: Verified) -> Notification:
        document = json_body.parse_object(request.body)
        found = self._asset_event(json_body.obj(document, "payload") or document, document)
        if isinstance(found, Ignored):
            return Notification(payload=document, instead=found)
        return Notification(payload=document, events=(found,))

    def _asset_event(self, event: dict[str, Any], document: dict[str, Any]) -> AssetEvent | Ignored:
        """The event stands alone or in an envelope, whose keys are not documented."""
        action = json_body.text(event, "type") or ""
        if not any(name in event for name in _OF_ASSETS):
            return Ignored(f"{action or 'the event'} is not about an asset")
        identity = json_body.text(event, "id")
        if identity is None:
            raise Unreadable("the asset has no id")
        mime_type = json_body.text(event, "mimeType")
        if mime_type is not None and not mime_type.startswith("image/"):
            return Ignored(f"about a file of type {mime_type}, not an image")
        return AssetEvent(
            kind=_KINDS.get(action, AssetKind.UNKNOWN),
            id=identity,
            urls=tuple(dict.fromkeys(self._urls(event))),
            filename=json_body.text(event, "fileName"),
            mime_type=mime_type,
            occurred_at=json_body.moment(event, "timestamp") or json_body.moment(document, "timestamp"),
            content_hash=json_body.text(event, "fileHash") or json_body.scalar(event, "fileVersion"),
            sequence=_sequence(event.get("version")),
        )

    def _urls(self, event: dict[str, Any]) -> Iterator[str]:
        """`Squidex.Web/Services/UrlGenerator.cs`. The app is given as `id,name`."""
        app = (json_body.text(event, "appId") or "").partition(",")[2]
        for name in ("id", "slug"):
            value = json_body.text(event, name)
            if self._host is not None and app and value is not None:
                yield f"https://{self._host}/api/assets/{quote(app, safe='')}/{quote(value, safe='')}"

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {f"asset.{action.lower()}": _sample(action, now) for action in ("Updated", "Deleted", "Created")}


def _sequence(version: Any) -> str | None:
    """The number of an asset's events so far, in a spelling that sorts."""
    return f"{version:020d}" if isinstance(version, int) and version > 0 else None


def _sample(action: str, now: datetime) -> Sample:
    event = {
        "$type": "EnrichedAssetEvent",
        "type": action,
        "id": "5d3e9a52-4f0b-4f43-9a4b-0f6a7e1c2d3b",
        "mimeType": "image/jpeg",
        "fileName": "hero.jpg",
        "fileHash": sha256(iso(now).encode()).hexdigest(),
        "fileVersion": 3,
        "slug": "hero.jpg",
        "pixelWidth": 1600,
        "pixelHeight": 900,
        "actor": "subject:5c1d2e3f",
        "appId": "e3a1c7f0-2b4d-4c6e-8f90-a1b2c3d4e5f6,acme",
        "timestamp": iso(now),
        "version": 7,
    }
    return json_sample({"type": f"Asset{action}", "payload": event, "timestamp": iso(now)})
