"""Tigris: events of a bucket's objects behind a token or HTTP Basic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.events import AssetEvent, AssetKind
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.bucket_webhook import BucketWebhook
from service.providers.s3_records import listed

_ETAG_QUOTES = '"'  # an eTag comes with the quotes of the HTTP header


# https://www.fly.io/docs/python/do-more/add-object-storage/
_DOMAINS = ("t3.tigrisfiles.io", "t3.tigrisbucket.io", "t3.tigrisblob.io")
_PUBLIC = re.compile(rf"https://([a-z0-9.-]+)\.({'|'.join(map(re.escape, _DOMAINS))})/(.+)", re.DOTALL)


def _other_hosts(url: str) -> Iterator[str]:
    if found := _PUBLIC.fullmatch(url):
        bucket, domain, key = found.groups()
        yield from (f"https://{bucket}.{other}/{key}" for other in _DOMAINS if other != domain)


_VARIANTS = {"other-hosts": Variant("at the other domains of a public bucket", _other_hosts)}


class Tigris(BucketWebhook):
    """https://www.tigrisdata.com/docs/buckets/object-notifications/

    The token is one of `secrets`; for a user and a password say `auth: {basic: USER}`. An event has no id. Whether keys
    are ever encoded is not documented; the examples are plain.
    """

    info = Info(
        name="tigris",
        title="Tigris",
        doc_url="https://www.tigrisdata.com/docs/buckets/object-notifications/",
        signs="nothing: a token or HTTP Basic",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("bearer", "basic", "capability"),
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "*Bucket → Settings → Object notifications*: webhook URL `https://relay.example.com/hooks/NAME`.",
                "Authentication by token (one of `secrets`), or by user and password with `auth: {basic: USER}`.",
                "`bases: {BUCKET: https://img.example.com/}`.",
            ),
            events="`OBJECT_CREATED_*` becomes `updated`, as an overwrite looks like a creation; `OBJECT_DELETED` "
            "becomes `deleted`. A rename tells one key, and not which: `renamed`.",
            covered="Nothing: whoever knows the token may say anything, and replay it. There is no id of an event.",
            retries="An answer is due within 10 s and has to be 200; three more attempts. Whether it is switched "
            "off is unknown.",
            urls="Computed: the base of the bucket (`bases`) and the object's key. Whether keys come encoded is "
            "unknown; they are taken as they are unless `key_encoding` says otherwise. Variant: `other-hosts` "
            "(the three domains of public buckets).",
        ),
    )
    variants = _VARIANTS

    def events(self, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        for one in listed(payload, "events"):
            kind = _kind(json_body.text(one, "eventName") or "")
            if kind is None:
                continue
            event = self.objects.event(
                kind,
                json_body.text(one, "bucket"),
                json_body.text(one, "object", "key"),
                occurred_at=json_body.moment(one, "eventTime"),
                content_hash=(json_body.text(one, "object", "eTag") or "").strip(_ETAG_QUOTES) or None,
            )
            if event is not None:
                yield event

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        written = {"size": 109669, "eTag": f'"{sha256(iso(now).encode()).hexdigest()[:32]}"'}
        return {
            "put": _sample("OBJECT_CREATED_PUT", written, now),
            "delete": _sample("OBJECT_DELETED", {"size": 0, "eTag": ""}, now),
        }


def _kind(event_name: str) -> AssetKind | None:
    """An overwrite looks like a creation. Of a rename only one key is told, and not which."""
    if event_name.startswith("OBJECT_CREATED_"):
        return AssetKind.UPDATED
    if event_name.startswith("OBJECT_RENAME"):
        return AssetKind.RENAMED
    return AssetKind.DELETED if event_name == "OBJECT_DELETED" else None


def _sample(event_name: str, of_object: Mapping[str, Any], now: datetime) -> Sample:
    event = {
        "eventVersion": "1",
        "eventSource": "tigris",
        "eventName": event_name,
        "eventTime": iso(now),
        "bucket": "my-bucket",
        "object": {"key": "products/red hero.jpg", **of_object},
    }
    return Sample(msgspec.json.encode({"events": [event]}), {"content-type": "application/json"})
