"""Directus: a Flow that posts what happened to files; no signature, and a URL made of the file's id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.delivery_urls import absolute, site_base
from service.providers.plain_provider import delivery_id, json_sample
from service.providers.s3_records import warnings_of_bases
from service.settings.model import Source

# https://www.npmjs.com/package/@directus/api (`services/files.js`): a replaced file emits `files.upload` and nothing
# else, as a new one does.
_KINDS = {
    "files.upload": AssetKind.UPDATED,
    "files.update": AssetKind.UPDATED,
    "files.delete": AssetKind.DELETED,
}
_KEY = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")  # a template renders what is missing as text


class Directus(CredentialOnly):
    """https://directus.io/docs/guides/automate/operations"""

    info = Info(
        name="directus",
        title="Directus",
        doc_url="https://directus.io/docs/guides/automate/operations",
        signs="nothing: a secret header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        options=("bases",),
        guide=Guide(
            setup=(
                "*Settings → Flows → Create Flow*: trigger **Event Hook**, type **Action (Non-Blocking)**, scope "
                "`files.upload` and `files.delete`.",
                "Its one operation is **Webhook / Request URL**: method POST, URL "
                "`https://relay.example.com/hooks/NAME`, header `Authorization` with `Bearer ` and one of `secrets`, "
                "request body `{{$trigger}}`, which is the event as a whole.",
                'A body of your own has to be JSON with `event` and `key` (or `keys`): `{"event": '
                '"{{$trigger.event}}", "key": "{{$trigger.key}}", "payload": {{$trigger.payload}}}`; a deletion '
                "has its keys in `payload`.",
                "`bases: {site: https://cms.example.com/}`: where the site loads `/assets/…` from.",
            ),
            events="`files.upload` becomes `updated`: a new file and one that was replaced look the same. "
            "`files.delete` becomes `deleted`. `files.update` (→ `updated`) tells of a file's data alone: switch it on "
            "where focal points matter.",
            covered="Nothing is signed: whoever holds the credential is believed. Directus tells neither a time nor "
            "an id of the event, so every delivery counts.",
            retries="None: a request that fails is lost, and an error in the Flow's log. The time-out is unknown. "
            "Directus does not switch a Flow off.",
            urls="Computed: `/assets/` and the file's id behind the base; a replaced file keeps it. Sites add a preset "
            "or a transformation, or the file's name: rules for `{{ url | with_query('key=card') }}` or "
            "`{{ url }}/{{ asset.filename }}` name those.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._base = site_base(source)

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event = json_body.text(payload, "event")
        if event is None:
            raise Unreadable("the body names no event: is the Flow's request body `{{$trigger}}`?")
        event_id = delivery_id(request, payload)
        mime_type = json_body.text(payload, "payload", "type")
        if not event.startswith("files."):
            instead = Ignored(f"{event} is not about a file")
        elif mime_type is not None and not mime_type.startswith("image/"):
            instead = Ignored(f"about a file of type {mime_type}, not an image")
        else:
            return Notification(payload=payload, events=tuple(self._events(event, payload)), event_id=event_id)
        return Notification(payload=payload, instead=instead, event_id=event_id)

    def _events(self, event: str, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        keys = dict.fromkeys(_keys(payload))
        if not keys:
            raise Unreadable("the body has no file's id in `key`, `keys` or `payload`")
        for key in keys:
            yield AssetEvent(
                kind=_KINDS.get(event, AssetKind.UNKNOWN),
                id=key,
                urls=(absolute(f"/assets/{key}", self._base),) if self._base is not None else (),
                filename=json_body.text(payload, "payload", "filename_download"),
                mime_type=json_body.text(payload, "payload", "type"),
            )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        key = "3f8e2a54-7c1d-4b60-9a2f-d5e6c7b8a901"
        file = {
            "storage": "local",
            "filename_download": "hero.jpg",
            "filename_disk": f"{key}.jpg",
            "type": "image/jpeg",
            "title": "Hero",
            "filesize": 100_000 + to_ms(now) // 1000 % 100_000,
        }
        of_files = {"collection": "directus_files"}
        keys = [str(UUID(int=to_ms(now), version=4)), key]
        return {
            "files.upload": json_sample({"event": "files.upload", "payload": file, "key": key, **of_files}),
            "files.delete": json_sample({"event": "files.delete", "payload": keys, "keys": keys, **of_files}),
        }


def _keys(payload: dict[str, Any]) -> Iterator[str]:
    given = [payload.get("key"), *json_body.array(payload, "keys"), *json_body.array(payload, "payload")]
    return (one for one in given if isinstance(one, str) and _KEY.fullmatch(one))
