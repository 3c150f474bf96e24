"""Ceph's RADOS gateway: S3 event records behind HTTP Basic or a secret in the query."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso, to_ms
from service.providers import json_body
from service.providers.base import Guide, Info, Sample, SourceProblem
from service.providers.bucket_webhook import S3Webhook, s3_record
from service.providers.s3_records import id_of_batch
from service.settings.model import Source


class CephRgw(S3Webhook):
    """https://docs.ceph.com/en/latest/radosgw/notifications/

    The topic's `push-endpoint` carries the credential: `https://USER:PASSWORD@HOST/hooks/NAME`, or a query parameter,
    which the gateway sends as it is. A gateway that is not itself behind TLS refuses to make a topic with a password,
    unless `rgw_trust_forwarded_https` is set. Make the topic persistent: any other is lost when the relay is away, and
    has the upload wait for its answer. `OpaqueData` is no credential here.
    """

    # A gateway sends the key as it is, as was measured with release 16.2.15: decoding would corrupt `+` and `%`.
    encoding = "verbatim"

    info = Info(
        name="ceph-rgw",
        title="Ceph RADOS Gateway",
        doc_url="https://docs.ceph.com/en/latest/radosgw/notifications/",
        signs="nothing: HTTP Basic, or a secret in the query",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("basic", "query", "capability"),
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "Make a persistent topic: `aws --endpoint-url https://GATEWAY sns create-topic --name relay "
                '--attributes \'{"push-endpoint": "https://USER:SECRET@relay.example.com/hooks/NAME", '
                '"persistent": "true"}\'`; in relay.yaml `auth: {basic: USER}` and SECRET as one of `secrets`.',
                "`aws --endpoint-url https://GATEWAY s3api put-bucket-notification-configuration` for "
                "`s3:ObjectCreated:*` and `s3:ObjectRemoved:*`.",
                "A gateway that is not behind TLS itself refuses passwords unless `rgw_trust_forwarded_https` is "
                "set. `bases: {BUCKET: https://img.example.com/}`.",
            ),
            events="`ObjectCreated:*` becomes `updated`, as an overwrite looks like a creation; `ObjectRemoved:*` "
            "becomes `deleted`. Others are ignored.",
            covered="Nothing: whoever knows the password or the query may say anything, and replay it. Repeated "
            "records are known by their ids.",
            retries="A persistent topic is tried again at once until it is taken. Any other one holds up the upload "
            "and loses the event when the relay is away. Time-out and limits are unknown, and differ between "
            "releases.",
            urls="Computed: the base of the bucket (`bases`) and the object's key, which a gateway sends as it is. "
            "Its sequencers are in no order and not looked at.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        if source.auth is None and not source.unverified:
            raise SourceProblem("auth", "a gateway signs nothing: choose `basic: USER` or `query: NAME`")
        super().__init__(name, source)

    def event_id(self, payload: dict[str, Any]) -> str | None:
        return id_of_batch(json_body.text(record, "eventId") for record in json_body.array(payload, "Records"))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"put": _sample("ObjectCreated:Put", now), "delete": _sample("ObjectRemoved:Delete", now)}


def _sample(event_name: str, now: datetime) -> Sample:
    etag = sha256(iso(now).encode()).hexdigest()[:32]
    of_object = {"size": 109669, "eTag": etag, "versionId": "", "sequencer": f"{to_ms(now):016X}", "tags": []}
    record = s3_record("ceph:s3", event_name, "products/red hero.jpg", of_object, now)
    seconds, milliseconds = divmod(to_ms(now), 1000)
    more = {"eventVersion": "2.2", "eventId": f"{seconds}.{milliseconds:03d}000.{etag}", "opaqueData": ""}
    return Sample(msgspec.json.encode({"Records": [record | more]}), {"content-type": "application/json"})
