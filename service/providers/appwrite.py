"""Appwrite: HMAC-SHA1 over the webhook's URL and the body; files in storage buckets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import md5
from typing import Any
from urllib.parse import quote

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import BodySignature
from service.providers.plain_provider import body_digest, json_sample
from service.providers.registered_url import registered_url
from service.providers.s3_records import bases_of, warnings_of_bases
from service.providers.signatures import hmac_sha1
from service.settings.model import Source

_SIGNATURE = "x-appwrite-webhook-signature"
_EVENTS = "x-appwrite-webhook-events"
_PROJECT = "x-appwrite-webhook-project-id"
# One of the comma list's several forms: https://appwrite.io/docs/apis/events
_FILE_EVENT = re.compile(r"buckets\.[^.,]+\.files\.[^.,]+\.(create|update|delete)")
_PROJECT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # the header is not signed: nothing else gets into a URL
_KINDS = {"create": AssetKind.CREATED, "update": AssetKind.UPDATED, "delete": AssetKind.DELETED}


class Appwrite(BodySignature):
    """https://appwrite.io/docs/apis/webhooks

    `X-Appwrite-Webhook-Id` is the webhook's, not the delivery's.
    """

    signature_header = _SIGNATURE
    scheme = "sha1"
    info = Info(
        name="appwrite",
        title="Appwrite Storage",
        doc_url="https://appwrite.io/docs/apis/webhooks",
        signs="HMAC-SHA1 over the webhook's URL and the body",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, _EVENTS, _PROJECT, "x-appwrite-webhook-id", "content-type"}),
        auth=("basic", "capability"),
        options=("registered_url", "bases"),
        unreadable_status=200,  # ten errors in a row and Appwrite switches the webhook off
        guide=Guide(
            setup=(
                "*Project → Settings → Webhooks → Create webhook*: URL `https://relay.example.com/hooks/NAME`, the "
                "events `buckets.*.files.*.create`, `.update` and `.delete`.",
                "`registered_url`: that URL, letter by letter, as it is signed. `secrets`: the webhook's signature "
                "key. (Or set a user and a password there, and `auth: {basic: USER}` here.)",
                "`bases: {BUCKET_ID: https://cloud.appwrite.io/v1/storage/buckets/BUCKET_ID/files/}` with your "
                "endpoint: the part of the URL in front of the file's id.",
            ),
            events="Files created, updated and deleted. Files that are no images, and everything else of the project, "
            "are ignored.",
            covered="The webhook's URL and the whole body. Neither the headers, of which one names the event, nor any "
            "time of sending are covered; a deletion is believed of a body that is signed.",
            retries="An answer is due within 15 s; below 400 counts. Whether a failed delivery is repeated is unknown. "
            "After 10 failures in a row the webhook is **switched off**; a success sets the count back.",
            urls="Computed: the bucket's base, the file's id, and `/view?project=PROJECT` as well as `/preview?project="
            "PROJECT`. What else your site adds to the query is for a rule.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._url = registered_url(source).encode()
        self._bases = bases_of(source)

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def signature_of(self, key: bytes, body: bytes) -> bytes:
        return hmac_sha1(key, self._url + body)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = self._asset_event(payload, request)
        event_id = _event_id(payload, request)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    def _asset_event(self, payload: dict[str, Any], request: Verified) -> AssetEvent | Ignored:
        known = _FILE_EVENT.search(request.headers.get(_EVENTS, ""))
        if known is None:
            return Ignored("not about a file in a bucket")
        file_id, bucket = (json_body.text(payload, key) for key in ("$id", "bucketId"))
        if file_id is None or bucket is None:
            raise Unreadable("the file has no $id or no bucketId")
        mime_type = json_body.text(payload, "mimeType")
        if mime_type is not None and not mime_type.startswith("image/"):
            return Ignored(f"about a file of type {mime_type}, not an image")
        return AssetEvent(
            kind=_KINDS[known[1]],
            id=f"{bucket}/{file_id}",
            urls=self._urls(bucket, file_id, request.headers.get(_PROJECT, "")),
            bucket=bucket,
            key=file_id,
            filename=json_body.text(payload, "name"),
            mime_type=mime_type,
            # A deletion leaves the time of the last change in place.
            occurred_at=request.received_at if known[1] == "delete" else json_body.moment(payload, "$updatedAt"),
            content_hash=json_body.text(payload, "signature"),
        )

    def _urls(self, bucket: str, file_id: str, project: str) -> tuple[str, ...]:
        """https://appwrite.io/threads/1171836268615847937"""
        base = self._bases.get(bucket)
        if base is None:
            return ()
        query = f"?project={project}" if _PROJECT_ID.fullmatch(project) else ""
        return tuple(f"{base}{quote(file_id, safe='')}/{way}{query}" for way in ("view", "preview"))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {action: _sample(action, now) for action in ("update", "delete", "create")}


def _event_id(payload: dict[str, Any], request: Verified) -> str | None:
    """The file, the time of its last change and what happened. The name of the event is not signed, so the body counts
    too: nobody can burn another event's."""
    known = _FILE_EVENT.search(request.headers.get(_EVENTS, ""))
    return None if known is None else f"{known[1]} {body_digest(request.body)}"


def _sample(action: str, now: datetime) -> Sample:
    file = {
        "$id": "hero",
        "bucketId": "images",
        "$createdAt": "2026-01-01T00:00:00.000+00:00",
        "$updatedAt": iso(now).replace("Z", "+00:00"),
        "$permissions": [],
        "name": "hero.jpg",
        "signature": md5(iso(now).encode(), usedforsecurity=False).hexdigest(),
        "mimeType": "image/jpeg",
        "sizeOriginal": 1234,
        "chunksTotal": 1,
        "chunksUploaded": 1,
    }
    headers = {
        "x-appwrite-webhook-id": "65f0c1d2",
        _EVENTS: f"buckets.*.files.*.{action},buckets.images.files.hero.{action}",
        _PROJECT: "shop",
    }
    return json_sample(file, headers)
