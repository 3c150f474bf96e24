"""SeaweedFS: what its filer tells of files in buckets, behind a token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.bucket_webhook import BucketWebhook

_BUCKETS = "/buckets/"
_UPLOADS = ".uploads/"  # the parts of an upload under way, at the root of its bucket


class SeaweedFs(BucketWebhook):
    """https://github.com/seaweedfs/seaweedfs/wiki/Filer-Notification-Webhook

    `[notification.webhook]` in notification.toml; `bearer_token` is one of `secrets`. The filer tells of files by their
    paths, `/buckets/BUCKET/KEY`; what lies elsewhere is no object of a bucket. It tells neither the time of an event
    nor an id of it.
    """

    info = Info(
        name="seaweedfs",
        title="SeaweedFS",
        doc_url="https://github.com/seaweedfs/seaweedfs/wiki/Filer-Notification-Webhook",
        signs="nothing: a token",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("bearer", "capability"),
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "notification.toml of the filer: `[notification.webhook]`, `enabled = true`, `endpoint = "
                '"https://relay.example.com/hooks/NAME"`, `bearer_token = "SECRET"`; SECRET is one of `secrets`.',
                "`bases: {BUCKET: https://img.example.com/}`, then start the filer anew.",
            ),
            events="`create` and `update` become `updated`, `delete` `deleted`; a `rename` to another path is "
            "`deleted` there and `updated` here. Folders, parts of uploads and what lies in no bucket are ignored.",
            covered="Nothing: whoever knows the token may say anything, and replay it. There is neither time nor "
            "id: the same body again is the same event.",
            retries="2xx counts, redirects are followed. Time-out, retries, and whether it is switched off, is "
            "unknown.",
            urls="Computed: the base of the bucket (`bases`) and the path below `/buckets/BUCKET/`.",
        ),
    )

    def events(self, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        path = json_body.text(payload, "key")
        if path is None:
            raise Unreadable("the body has no key")
        for kind, one in _happened(json_body.text(payload, "event_type"), path, json_body.obj(payload, "message")):
            event = self._event(kind, one)
            if event is not None:
                yield event

    def _event(self, kind: AssetKind, path: str) -> AssetEvent | None:
        if not path.startswith(_BUCKETS):
            return None
        bucket, _, key = path.removeprefix(_BUCKETS).partition("/")
        return None if key.startswith(_UPLOADS) else self.objects.event(kind, bucket, key)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        entry = {"name": "red hero.jpg", "attributes": {"file_size": 109669, "mtime": to_ms(now) // 1000}}
        parent = "/buckets/my-bucket/products"
        written = {"old_entry": entry, "new_entry": entry, "new_parent_path": parent}
        return {
            "write": _sample("rename", written),
            "delete": _sample("delete", {"old_entry": entry, "delete_chunks": True}),
        }


def _happened(event_type: str | None, path: str, message: dict[str, Any]) -> Iterator[tuple[AssetKind, str]]:
    """What happened to which paths.

    The filer calls it a `rename` whenever there was an entry before and is one after: also where the path is the same
    and only the content is new. https://github.com/seaweedfs/seaweedfs/blob/master/weed/notification/webhook/types.go
    and weed/filer/filer_notify.go
    """
    if any(json_body.dig(message, entry, "is_directory") is True for entry in ("old_entry", "new_entry")):
        return
    match event_type:
        case "create" | "update":
            yield AssetKind.UPDATED, path
        case "delete":
            yield AssetKind.DELETED, path
        case "rename":
            target = _target(message) or path
            if target != path:
                yield AssetKind.DELETED, path
            yield AssetKind.UPDATED, target


def _target(message: dict[str, Any]) -> str | None:
    parent = json_body.text(message, "new_parent_path")
    name = json_body.text(message, "new_entry", "name")
    return None if parent is None or name is None else f"{parent.rstrip('/')}/{name}"


def _sample(event_type: str, message: dict[str, Any]) -> Sample:
    body = {"key": "/buckets/my-bucket/products/red hero.jpg", "event_type": event_type, "message": message}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
