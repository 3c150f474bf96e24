"""Supabase Storage: a database webhook on the table of objects, behind a header of the operator's choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.bucket_webhook import BucketWebhook
from service.providers.credential_only import UNSIGNED_AUTH

_TABLE = ("storage", "objects")


_PUBLIC, _RENDERED = "/storage/v1/object/public/", "/storage/v1/render/image/public/"


def _rendered(url: str) -> Iterator[str]:
    """https://supabase.com/docs/guides/storage/serving/image-transformations; width and height are up to a rule."""
    for place, other in ((_PUBLIC, _RENDERED), (_RENDERED, _PUBLIC)):
        head, found, path = url.partition(place)
        if found and path and head.startswith("https://") and "/" not in head.removeprefix("https://"):
            yield f"{head}{other}{path}"


_VARIANTS = {"rendered": Variant("where Supabase scales images, or the file itself where it is that", _rendered)}


class SupabaseStorage(BucketWebhook):
    """https://supabase.com/docs/guides/database/webhooks

    Storage has no webhooks of its own: make a database webhook on the table `objects` of the schema `storage` for
    insert, update and delete, with a header `Authorization: Bearer SECRET`, or any other header with
    `auth: {header: NAME}`. It waits for a second and never tries again: a relay that is away misses the event. The
    public URL of a bucket, for `bases`, is in the dashboard.
    """

    info = Info(
        name="supabase-storage",
        title="Supabase Storage",
        doc_url="https://supabase.com/docs/guides/database/webhooks",
        signs="nothing: a header of your choice",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "*Database → Webhooks → Create a new hook*: schema `storage`, table `objects`, events **insert, "
                "update, delete**; type HTTP request, POST, URL `https://relay.example.com/hooks/NAME`.",
                "HTTP headers: `Authorization` with `Bearer SECRET`; SECRET is one of `secrets`. Raise the time-out "
                "to 5000 ms.",
                "`bases: {BUCKET: https://REF.supabase.co/storage/v1/object/public/BUCKET/}`.",
            ),
            events="`UPDATE` becomes `updated` where the content differs, and is ignored where it does not; a move "
            "is `deleted` at the old place and `updated` at the new one; `INSERT` and `DELETE` become `created` and "
            "`deleted`.",
            covered="Nothing: whoever knows the header may say anything, and replay it.",
            retries="An answer is due within the webhook's own time-out (1 s unless raised); nobody looks at it and "
            "nothing is retried: what the relay misses is lost. It is never switched off.",
            urls="Computed: the base of the bucket (`bases`) and the object's name. Variant: `rendered` "
            "(`/render/image/public/`, where Supabase scales images; its `?width=…` is up to a rule's template).",
        ),
    )
    variants = _VARIANTS

    def events(self, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        if (json_body.text(payload, "schema"), json_body.text(payload, "table")) != _TABLE:
            return
        for kind, row in _happened(payload):
            event = self._event(kind, row)
            if event is not None:
                yield event

    def _event(self, kind: AssetKind, row: dict[str, Any]) -> AssetEvent | None:
        return self.objects.event(
            kind,
            json_body.text(row, "bucket_id"),
            json_body.text(row, "name"),
            occurred_at=json_body.moment(row, "updated_at"),
            content_hash=_content(row),
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        before, after = _sample_row(now, 0), _sample_row(now, 1)
        return {
            "update": _sample("UPDATE", after, before),
            "insert": _sample("INSERT", after, None),
            "delete": _sample("DELETE", None, after),
        }


def _happened(payload: dict[str, Any]) -> Iterator[tuple[AssetKind, dict[str, Any]]]:
    """Uploading over an object updates its row; so does moving it, and so may looking at it."""
    new, old = json_body.obj(payload, "record"), json_body.obj(payload, "old_record")
    match json_body.text(payload, "type"):
        case "INSERT":
            yield AssetKind.CREATED, new
        case "DELETE":
            yield AssetKind.DELETED, old
        case "UPDATE":
            if old and _place(old) != _place(new):
                yield AssetKind.DELETED, old
                yield AssetKind.UPDATED, new
            elif not _same_content(old, new):
                yield AssetKind.UPDATED, new
        case None:
            raise Unreadable("the body has no type")


def _place(row: dict[str, Any]) -> tuple[str | None, str | None]:
    return json_body.text(row, "bucket_id"), json_body.text(row, "name")


def _content(row: dict[str, Any]) -> str | None:
    """Every upload gives an object a new version."""
    return json_body.text(row, "version") or json_body.text(row, "metadata", "eTag")


def _same_content(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether both rows tell the content, and the same one: which columns there are is Supabase's own affair."""
    known = _content(new) is not None and _content(old) == _content(new)
    return known and json_body.dig(old, "metadata") == json_body.dig(new, "metadata")


def _sample_row(now: datetime, version: int) -> dict[str, Any]:
    metadata = {"eTag": f'"{to_ms(now):032x}"', "size": 109669 + version, "mimetype": "image/jpeg"}
    return {
        "id": "f1a2c3d4-0000-4000-8000-000000000001",
        "bucket_id": "my-bucket",
        "name": "products/red hero.jpg",
        "owner": None,
        "created_at": "2026-01-01T10:00:00+00:00",
        "updated_at": iso(now),
        "last_accessed_at": iso(now),
        "metadata": metadata,
        "version": str(UUID(int=(to_ms(now) << 64) + version)),
    }


def _sample(event_type: str, record: dict[str, Any] | None, old_record: dict[str, Any] | None) -> Sample:
    schema, table = _TABLE
    body = {"type": event_type, "table": table, "schema": schema, "record": record, "old_record": old_record}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
