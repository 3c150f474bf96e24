"""MinIO and AIStor: S3 event records behind a token."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.requests import Greeting, RawRequest
from service.providers.base import Guide, Info, Sample
from service.providers.bucket_webhook import S3Webhook, s3_record


class Minio(S3Webhook):
    """https://min.io/docs/minio/linux/administration/monitoring/publish-events-to-webhook.html

    MinIO's `auth_token` is one of `secrets`; it is sent as `Authorization: Bearer`. A token of two words is sent as it
    is: `Basic …` then goes with `auth: {basic: USER}`. Set `queue_dir`: without one, an event is lost when the relay is
    away.
    """

    # `url.QueryEscape`: https://github.com/minio/minio/blob/master/internal/event/event.go and event-notification.go.
    encoding = "form"

    info = Info(
        name="minio",
        title="MinIO",
        doc_url="https://min.io/docs/minio/linux/administration/monitoring/publish-events-to-webhook.html",
        signs="nothing: a token",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("bearer", "basic", "capability"),
        options=("bases", "key_encoding"),
        handshake_methods=("HEAD",),
        guide=Guide(
            setup=(
                "`MINIO_NOTIFY_WEBHOOK_ENABLE_RELAY=on`, "
                "`MINIO_NOTIFY_WEBHOOK_ENDPOINT_RELAY=https://relay.example.com/hooks/NAME`, "
                "`MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_RELAY=SECRET`; SECRET is one of `secrets`.",
                "`MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_RELAY=/var/lib/minio/events`, without which an event is lost when "
                "the relay is away.",
                "`mc event add ALIAS/BUCKET arn:minio:sqs::RELAY:webhook --event put,delete`, and `bases: {BUCKET: "
                "https://img.example.com/}`.",
            ),
            events="`s3:ObjectCreated:*` becomes `updated`, as an overwrite looks like a creation; "
            "`s3:ObjectRemoved:*` becomes `deleted`. Others are ignored.",
            covered="Nothing: whoever knows the token may say anything, and replay it. MinIO looks with HEAD "
            "whether somebody is there, which is answered without a token and stores nothing.",
            retries="2xx counts. With `queue_dir` events are kept and sent again in order until they are taken, "
            "without it they are sent once. The time-out is unknown; it is never switched off.",
            urls="Computed: the base of the bucket (`bases`) and the object's key, which MinIO encodes as a form "
            "does. Its sequencers are in no order across a cluster and not looked at.",
        ),
    )

    def greeting(self, request: RawRequest, now: datetime) -> Greeting | None:
        """When its target starts, MinIO looks whether somebody is there, perhaps without its token, for five seconds:
        https://github.com/minio/minio/blob/master/internal/event/target/webhook.go"""
        return Greeting(reason="MinIO looks whether somebody is there") if request.method == "HEAD" else None

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        written = {"size": 109669, "eTag": sha256(iso(now).encode()).hexdigest()[:32], "contentType": "image/jpeg"}
        return {
            "put": _sample("s3:ObjectCreated:Put", written, now),
            "delete": _sample("s3:ObjectRemoved:Delete", {}, now),
        }


def _sample(event_name: str, of_object: dict[str, Any], now: datetime) -> Sample:
    sequencer = {"sequencer": f"{to_ms(now) * 1_000_000:016X}"}
    record = s3_record("minio:s3", event_name, "products%2Fred+hero.jpg", of_object | sequencer, now)
    body = {"EventName": event_name, "Key": "my-bucket/products/red hero.jpg", "Records": [record]}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
