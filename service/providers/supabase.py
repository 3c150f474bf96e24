"""Supabase: a database webhook on any table: the images of a row, and those it had before."""

from __future__ import annotations

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
from service.providers.image_links import image_urls
from service.providers.plain_provider import delivery_id, json_sample

# https://supabase.com/docs/guides/database/webhooks
_KINDS = {"INSERT": AssetKind.CREATED, "UPDATE": AssetKind.UPDATED, "DELETE": AssetKind.DELETED}
_KEYS = ("id", "uuid", "key", "slug")  # what rows are commonly known by; the webhook does not say the primary key


class Supabase(CredentialOnly):
    """https://supabase.com/docs/guides/database/webhooks"""

    info = Info(
        name="supabase",
        title="Supabase rows",
        doc_url="https://supabase.com/docs/guides/database/webhooks",
        signs="nothing: a header of your choice, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        guide=Guide(
            setup=(
                "*Database → Webhooks → Create a new hook*: the table whose rows show images, events **insert, update, "
                "delete**; type HTTP request, POST, URL `https://relay.example.com/hooks/NAME`.",
                "HTTP headers: `Authorization` with `Bearer SECRET`; SECRET is one of `secrets`. Raise the time-out "
                "to 5000 ms.",
                "For the files of Storage itself make a source of `provider: supabase-storage`.",
            ),
            events="`INSERT`, `UPDATE` and `DELETE` become `created`, `updated` and `deleted`; an update that changed "
            "the row's images is `replaced`. `asset.id` is the table and the row's `id`. A row without images is "
            "ignored.",
            covered="Nothing: whoever knows the header may say anything, and replay it. A repeated body is known where "
            "the row has an `updated_at`; otherwise each delivery counts.",
            retries="An answer is due within the webhook's own time-out (1 s unless raised); nobody looks at it and "
            "nothing is retried: what the relay misses is lost. It is never switched off.",
            urls="In the payload: every image URL anywhere in `record`, and those that only `old_record` had. Columns "
            "that hold paths need a rule: `{{ payload.record.image_path }}`.",
        ),
    )

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _row_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=delivery_id(request, payload))
        # A row that tells when it changed is told from its other states by that.
        event_id = None if found.occurred_at is not None else delivery_id(request, payload)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        old, new = (_sample_row(f"hero{suffix}.jpg", now) for suffix in ("", "-v2"))
        return {
            "update": _sample("UPDATE", new, old),
            "insert": _sample("INSERT", new, None),
            "delete": _sample("DELETE", None, new),
        }


def _row_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    """One row with all its images, also those that a rule alone can name."""
    change, schema, table = (json_body.text(payload, key) for key in ("type", "schema", "table"))
    if change is None or table is None:
        raise Unreadable("the body has no type or no table")
    current, previous = (json_body.obj(payload, name) for name in ("record", "old_record"))
    row = current or previous
    if not row:
        return Ignored("it holds no row")
    urls, before = image_urls(current), image_urls(previous)
    kind = _KINDS.get(change, AssetKind.UNKNOWN)
    if kind is AssetKind.UPDATED and set(urls) != set(before):
        kind = AssetKind.REPLACED
    identity = next((value for key in _KEYS if (value := json_body.scalar(row, key)) is not None), None)
    if identity is None:
        return Ignored(f"a row of {table} has none of the columns {', '.join(_KEYS)}, so it cannot be told from others")
    return AssetEvent(
        kind=kind,
        id=f"{schema or 'public'}.{table}/{identity}",
        urls=urls or before,
        earlier_urls=tuple(url for url in before if url not in urls) if urls else (),
        occurred_at=json_body.moment(row, "updated_at"),
    )


def _sample_row(image: str, now: datetime) -> dict[str, Any]:
    url = f"https://abcdefghijklmnop.supabase.co/storage/v1/object/public/products/{image}"
    return {"id": 42, "title": "Handwoven basket", "image_url": url, "updated_at": iso(now)}


def _sample(change: str, record: dict[str, Any] | None, old_record: dict[str, Any] | None) -> Sample:
    body = {"type": change, "table": "products", "schema": "public", "record": record, "old_record": old_record}
    return json_sample(body)
