"""Amazon EventBridge: the events of S3 buckets through an API destination, behind the connection's credential."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from service.domain.clock import iso, to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind
from service.providers import json_body
from service.providers.base import Guide, Info, Sample, SourceProblem
from service.providers.bucket_urls import AMAZON_VARIANTS
from service.providers.bucket_webhook import BucketWebhook
from service.providers.plain_provider import json_sample
from service.providers.s3_records import amazon_sequence
from service.settings.model import Source

_S3 = "aws.s3"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html. An overwrite looks like a creation. Changes of
# tags, access, tier and storage class are left out: the object's bytes stay what they are.
_KINDS = {"Object Created": AssetKind.UPDATED, "Object Deleted": AssetKind.DELETED}


class AwsEventBridge(BucketWebhook):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html

    The rule's target is to send the event as it is. What a connection adds to the body stands beside it, at the top.
    """

    info = Info(
        name="aws-eventbridge",
        title="Amazon EventBridge and S3",
        doc_url="https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html",
        signs="nothing: a header with a key, HTTP Basic, or a bearer token that may be signed by its issuer",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("header", "basic", "bearer", "jwt", "capability"),
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "S3: *bucket → Properties → Amazon EventBridge*: on.",
                "EventBridge: *API destinations → Connections → Create*: authorization type **API key** with a header "
                "name of your choice (`auth: {header: NAME}`) or **Basic** (`auth: {basic: USER}`), the value is one "
                "of `secrets`. With **OAuth client credentials** its issuer's keys judge the token (`auth: {jwt: "
                "{issuer: …, audience: …, jwks_url: …}}`), or compared where it is always the same (`auth: {bearer: "
                "true}`).",
                "*API destinations → Create*: `https://relay.example.com/hooks/NAME`, method POST, that connection.",
                'A rule on the bucket\'s events (`{"source": ["aws.s3"], "detail": {"bucket": {"name": ["BUCKET"]}}}`) '
                "with the API destination as its target, **without** an input transformer; give it a dead-letter "
                "queue, so that nothing is lost when the relay is away for longer than the retries last.",
                "`bases: {BUCKET: https://…}` for every bucket.",
            ),
            events="Switch on `Object Created` (→ `updated`: a new object and an overwritten one look the same) and "
            "`Object Deleted` (→ `deleted`). All other events are ignored.",
            covered="Nothing is signed: whoever holds the credential is believed, body, time and all. A repeated "
            "delivery is known by the event's `id`.",
            retries="An answer is due within 5 s, any 2xx counts. 429, 5xx and time-outs are retried for 24 hours, up "
            "to 185 times; any other answer loses the event, so change a secret with both in `secrets`. EventBridge "
            "does not switch the target off (unknown whether it ever slows it down).",
            urls="Computed: the base of the bucket (`bases`) and the object's key, in both usual spellings of special "
            "characters. Amazon does not say whether keys are encoded; they are taken as they are. LocalStack encodes "
            "them: there, `key_encoding: url`. Variants: `virtual-hosted` and `path-style` (Amazon's two kinds of "
            "object URLs).",
        ),
    )
    variants = AMAZON_VARIANTS

    @classmethod
    def completed(cls, source: Source) -> Source:
        if source.auth is None and not source.unverified:
            kinds = "`header: NAME`, `basic: USER`, `jwt: {…}` or `bearer: true`"
            raise SourceProblem("auth", f"EventBridge signs nothing: choose {kinds}, as its connection has it")
        return source

    def events(self, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        event_type = json_body.text(payload, "detail-type")
        if event_type is None:
            raise Unreadable("the body is no event of EventBridge: the rule's target has to send the matched event")
        kind = _KINDS.get(event_type) if payload.get("source") == _S3 else None
        if kind is None:
            return
        event = self.objects.event(
            kind,
            json_body.text(payload, "detail", "bucket", "name"),
            json_body.text(payload, "detail", "object", "key"),
            occurred_at=json_body.moment(payload, "time"),
            content_hash=json_body.text(payload, "detail", "object", "etag"),
            sequence=amazon_sequence(json_body.text(payload, "detail", "object", "sequencer")),
        )
        if event is not None:
            yield event

    def event_id(self, payload: dict[str, Any]) -> str | None:
        return json_body.text(payload, "id")

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        etag = sha256(iso(now).encode()).hexdigest()[:32]
        written = {"size": 109669, "etag": etag}
        return {
            "created": _sample("Object Created", written, {"reason": "PutObject"}, now),
            "deleted": _sample(
                "Object Deleted", {}, {"reason": "DeleteObject", "deletion-type": "Permanently Deleted"}, now
            ),
        }


def _sample(event_type: str, of_object: Mapping[str, Any], why: Mapping[str, str], now: datetime) -> Sample:
    event = {
        "version": "0",
        "id": str(UUID(bytes=sha256(f"{event_type} {iso(now)}".encode()).digest()[:16])),
        "detail-type": event_type,
        "source": _S3,
        "account": "111122223333",
        "time": iso(now),
        "region": "eu-west-1",
        "resources": ["arn:aws:s3:::my-bucket"],
        "detail": {
            "version": "0",
            "bucket": {"name": "my-bucket"},
            "object": {"key": "products/red hero.jpg", **of_object, "sequencer": f"{to_ms(now):018X}"},
            "request-id": "N4N7GDK58NMKJ12R",
            "requester": "111122223333",
            "source-ip-address": "203.0.113.7",
            **why,
        },
    }
    return json_sample(event, {"content-type": "application/json; charset=utf-8"})
