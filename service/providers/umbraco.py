"""Umbraco: no signature; media items, and content with the images it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.delivery_urls import absolute, site_base
from service.providers.image_links import images_among
from service.providers.plain_provider import delivery_id, json_sample
from service.settings.model import Source

_EVENT = "umb-webhook-event"
_MEDIA = "/media/"  # where Umbraco keeps files, unless a package keeps them elsewhere
# The page and the code of Umbraco spell the names differently (`ContentPublished`, `ContentPublish`):
# https://docs.umbraco.com/umbraco-cms/reference/webhooks#default-headers
_NAME = re.compile(r"umbraco\.(media|content)(save|publish|unpublish|delete)(?:e?d)?")
_KINDS = {
    "save": AssetKind.UPDATED,
    "publish": AssetKind.UPDATED,
    "unpublish": AssetKind.UNPUBLISHED,
    "delete": AssetKind.DELETED,
}


class Umbraco(CredentialOnly):
    """https://docs.umbraco.com/umbraco-cms/reference/webhooks"""

    info = Info(
        name="umbraco",
        title="Umbraco",
        doc_url="https://docs.umbraco.com/umbraco-cms/reference/webhooks",
        signs="nothing: a secret header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({_EVENT, "umb-webhook-retrycount", "content-type"}),
        auth=UNSIGNED_AUTH,
        options=("bases",),
        guide=Guide(
            setup=(
                "*Settings → Webhooks → Create*: URL `https://relay.example.com/hooks/NAME`, the events below.",
                "A custom header `Authorization: Bearer …` with one of `secrets`.",
                "`Umbraco:CMS:Webhook:PayloadType` in appsettings: **Extended**, because the minimal payload (the "
                "default from version 17) holds an id and no URL.",
                "`bases: {site: https://cms.example.com/}`: the host in front of `/media/…`, unless your site serves "
                "it under its own.",
            ),
            events="**Media Saved** (→ `updated`: an upload, a new file and a new name look the same) and **Media "
            "Deleted**; Content Published (→ `updated`), Unpublished and Deleted for the images that content shows. "
            "Every other event is ignored.",
            covered="Nothing is signed: whoever holds the secret is believed. The event's name is a header, and no "
            "time of the event is told that names its zone.",
            retries="Up to `MaximumRetries` (5) times, `Period` (10 s) apart. The time-out, what counts as delivered "
            "and whether a webhook is ever switched off are unknown.",
            urls="In the payload: every `/media/…` path, behind the base of `site`, and every absolute image URL. For "
            "what holds only an id, what is remembered of it.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._base = site_base(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse(request.body)
        event_name = request.headers.get(_EVENT)
        if not event_name:
            raise Unreadable(f"the header {_EVENT} is missing")
        found = self._asset_event(event_name, payload)
        event_id = delivery_id(request, {"timestamp": _field(payload, "updateDate")})
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    def _asset_event(self, event_name: str, payload: Any) -> AssetEvent | Ignored:
        known = _NAME.fullmatch(event_name.lower())
        if known is None:
            return Ignored(f"{event_name} is not about media or content")
        kind = _KINDS[known[2]]
        item_id = _field(payload, "id") or _field(payload, "key")
        if item_id is None:
            raise Unreadable("the item has neither id nor key")
        texts = json_body.strings(payload)
        local = (absolute(text, self._base) for text in texts if text.startswith(_MEDIA))
        urls = tuple(dict.fromkeys((*local, *images_among(texts))))
        if known[1] == "content" and not urls and not kind.gone:
            return Ignored("the content shows no image")
        return AssetEvent(kind=kind, id=item_id, urls=urls, filename=_field(payload, "name"))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        item = {"id": "c1922956-7855-4fa0-8f2c-7af149a92135"}
        media = {
            **item,
            "name": "hero.jpg",
            "updateDate": iso(now).removesuffix("Z"),
            "mediaType": "Image",
            "url": "/media/oxfb3r3p/hero.jpg",
        }
        return {
            "Umbraco.MediaSave": json_sample(media, {_EVENT: "Umbraco.MediaSave"}),
            "Umbraco.MediaDelete": json_sample({**item, "updateDate": iso(now)}, {_EVENT: "Umbraco.MediaDelete"}),
        }


def _field(payload: Any, name: str) -> str | None:
    """A field in the spelling of version 14 and later, or of the versions before:
    https://docs.umbraco.com/umbraco-cms/fundamentals/setup/upgrading/version-specific"""
    return json_body.scalar(payload, name) or json_body.scalar(payload, name[0].upper() + name[1:])
