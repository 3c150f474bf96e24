"""Payload CMS: no webhooks of its own; a hook in its configuration that signs as Standard Webhooks say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Sample
from service.providers.delivery_urls import absolute, site_base
from service.providers.plain_provider import json_sample
from service.providers.standard_webhooks import StandardWebhooks
from service.settings.model import Source

# https://payloadcms.com/docs/hooks/collections
HOOK = """\
import { randomUUID } from 'node:crypto'
import type { CollectionAfterChangeHook, CollectionAfterDeleteHook } from 'payload'
import { Webhook } from 'standardwebhooks'

async function tell(data: { operation: string; [key: string]: unknown }) {
  const id = `msg_${randomUUID()}`
  const now = new Date()
  const body = JSON.stringify({ type: `file.${data.operation}`, timestamp: now.toISOString(), data })
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': Math.floor(now.getTime() / 1000).toString(),
    'webhook-signature': new Webhook(process.env.RELAY_SECRET!).sign(id, now, body),
  }
  for (let attempt = 0; attempt < 3; attempt++) {
    const signal = AbortSignal.timeout(5000)
    const answer = await fetch(process.env.RELAY_URL!, { method: 'POST', headers, body, signal }).catch(() => null)
    if (answer?.ok) return
  }
  console.error(`the image relay was not told of ${id}`)
}

export const relayHooks = (collection: string) => ({
  afterChange: [
    async ({ doc, previousDoc, operation, req }) => {
      await tell({ collection, operation, file: Boolean(req.file), doc, previousDoc })
    },
  ] satisfies CollectionAfterChangeHook[],
  afterDelete: [
    async ({ doc }) => {
      await tell({ collection, operation: 'delete', doc })
    },
  ] satisfies CollectionAfterDeleteHook[],
})
"""

_KINDS = {"create": AssetKind.CREATED, "update": AssetKind.UPDATED, "delete": AssetKind.DELETED}

# https://payloadcms.com/docs/upload/overview: these change with the file, and with nothing else.
_OF_THE_FILE = ("url", "filename", "filesize", "mimeType", "width", "height")


class Payload(StandardWebhooks):
    """https://payloadcms.com/docs/hooks/collections

    `HOOK` is what sends: it is in the operator's hands, and so is this format.
    """

    info = replace(
        StandardWebhooks.info,
        name="payload",
        title="Payload CMS",
        doc_url="https://payloadcms.com/docs/hooks/collections",
        signs="HMAC-SHA256 over id, time and body, by a hook of yours",
        stored_headers=frozenset({"webhook-id", "webhook-timestamp", "webhook-signature", "content-type"}),
        options=("public_keys", "bases"),
        guide=Guide(
            setup=(
                f"`npm install standardwebhooks`, and this file in the project:\n\n```ts\n{HOOK}```",
                "In every collection with uploads: `hooks: relayHooks('media')`, with the collection's slug.",
                "In its environment `RELAY_URL=https://relay.example.com/hooks/NAME` and `RELAY_SECRET`: `whsec_` and "
                "32 random bytes in base64 (`printf whsec_; openssl rand -base64 32`); the same is one of `secrets`.",
                "`bases: {site: https://cms.example.com/}` unless Payload has a `serverURL` or the site serves the "
                "files under its own host.",
            ),
            events="Every `create` (→ `created`), `update` (→ `replaced` where a file came along, or where name, size "
            "or URL differ from `previousDoc`; else `updated`) and `delete` (→ `deleted`).",
            covered="The hook signs an id, the time of sending and the body. A replay is refused after 5 minutes and "
            "known by its id before; other headers are not covered.",
            retries="What the hook does: three tries of 5 s each, any 2xx counts; then it logs and lets the document "
            "be saved all the same.",
            urls="In the payload: `url`, `thumbnailURL` and `sizes.*.url`, those of `previousDoc` too, so that a file "
            "that was renamed is purged under its old name. Payload's website template adds the time of the change: "
            "a rule with `{{ url }}?{{ payload.data.previousDoc.updatedAt | urlencode }}` is for that.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._base = site_base(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event_id = request.headers.get("webhook-id")
        found = self._asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    def _asset_event(self, payload: dict[str, Any]) -> AssetEvent | Ignored:
        doc, before = (json_body.obj(payload, "data", name) for name in ("doc", "previousDoc"))
        identity = json_body.scalar(doc, "id")
        if identity is None:
            raise Unreadable("the document has no id")
        mime_type = json_body.text(doc, "mimeType")
        if mime_type is None or not mime_type.startswith("image/"):
            return Ignored(f"about a file of type {mime_type}, not an image" if mime_type else "about no file")
        kind = _kind(json_body.obj(payload, "data"), doc, before)
        urls = tuple(dict.fromkeys(self._urls(doc)))
        sent_at = json_body.moment(payload, "timestamp")
        return AssetEvent(
            kind=kind,
            id=f"{json_body.text(payload, 'data', 'collection') or 'media'}/{identity}",
            urls=urls,
            earlier_urls=tuple(url for url in dict.fromkeys(self._urls(before)) if url not in urls),
            filename=json_body.text(doc, "filename"),
            mime_type=mime_type,
            occurred_at=sent_at if kind.gone else json_body.moment(doc, "updatedAt") or sent_at,
        )

    def _urls(self, doc: dict[str, Any]) -> Iterator[str]:
        """The file's URL, then those of its smaller sizes."""
        sizes = (json_body.text(size, "url") for size in json_body.obj(doc, "sizes").values())
        for url in (json_body.text(doc, "url"), json_body.text(doc, "thumbnailURL"), *sizes):
            if url is not None:
                yield absolute(url, self._base)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        new, old = (_sample_document(name, now) for name in ("hero-1.jpg", "hero.jpg"))
        replaced = {"operation": "update", "file": True, "doc": new, "previousDoc": old}
        return {
            "update": _sample(replaced, now),
            "delete": _sample({"operation": "delete", "doc": new}, now),
            "create": _sample({"operation": "create", "file": True, "doc": old, "previousDoc": {}}, now),
        }


def _kind(data: dict[str, Any], doc: dict[str, Any], before: dict[str, Any]) -> AssetKind:
    kind = _KINDS.get(json_body.text(data, "operation") or "", AssetKind.UNKNOWN)
    differs = bool(before) and any(doc.get(name) != before.get(name) for name in _OF_THE_FILE)
    if kind is AssetKind.UPDATED and (data.get("file") is True or differs):
        return AssetKind.REPLACED
    return kind


def _sample_document(filename: str, now: datetime) -> dict[str, Any]:
    def file(name: str, width: int) -> dict[str, Any]:
        return {"url": f"https://cms.example.com/api/media/file/{name}", "filename": name, "width": width}

    stem = filename.removesuffix(".jpg")
    return {
        "id": "6564f1a2c3d4e5f601234567",
        "alt": "Hero",
        "updatedAt": iso(now),
        "mimeType": "image/jpeg",
        "filesize": 109669,
        "thumbnailURL": None,
        **file(filename, 1600),
        "sizes": {"card": file(f"{stem}-640x480.jpg", 640)},
    }


def _sample(data: dict[str, Any], now: datetime) -> Sample:
    operation = str(data["operation"])
    message_id = "msg_" + sha256(f"{operation} {iso(now)}".encode()).hexdigest()[:24]
    body = {"type": f"file.{operation}", "timestamp": iso(now), "data": {"collection": "media", **data}}
    return json_sample(body, {"webhook-id": message_id})
