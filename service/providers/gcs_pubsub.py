"""Google Cloud Storage through a Pub/Sub push subscription, with the token of the service account that pushes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.bucket_urls import GOOGLE_VARIANTS
from service.providers.google_storage import GOOGLE_AUTH, SAMPLE_KEY, GoogleStorage, sample_resource
from service.providers.plain_provider import json_sample
from service.providers.pubsub_message import ATTRIBUTES, MESSAGE_ID, PUBLISH_TIME, SUBSCRIPTION, Message


class GcsPubSub(GoogleStorage):
    """https://docs.cloud.google.com/pubsub/docs/push

    Wrapped and unwrapped messages are told apart by their headers. Keys are not encoded.
    """

    info = Info(
        name="gcs-pubsub",
        title="Google Cloud Storage through Pub/Sub",
        doc_url="https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
        signs="nothing of the message: an OIDC token (JWT, RS256) of the service account that pushes",
        tolerance=None,
        stored_headers=frozenset({"content-type", MESSAGE_ID, SUBSCRIPTION, PUBLISH_TIME, *map(str.lower, ATTRIBUTES)}),
        auth=GOOGLE_AUTH,
        options=("bases", "key_encoding", "topics"),
        guide=Guide(
            setup=(
                "The bucket's events into a topic: `gcloud storage buckets notifications create gs://BUCKET "
                "--topic=TOPIC --event-types=OBJECT_FINALIZE,OBJECT_DELETE,OBJECT_ARCHIVE`.",
                "A service account for the pushes, and `gcloud pubsub subscriptions create SUBSCRIPTION --topic=TOPIC "
                "--push-endpoint=https://relay.example.com/hooks/NAME --push-auth-service-account=ACCOUNT@PROJECT"
                ".iam.gserviceaccount.com --push-auth-token-audience=https://relay.example.com/hooks/NAME`.",
                "`auth: {jwt: {audience: https://relay.example.com/hooks/NAME, email: ACCOUNT@…}}`, both exactly as "
                "above. `topics: [projects/PROJECT/subscriptions/SUBSCRIPTION]` pins the subscription too.",
                "Payload unwrapping works with *write metadata* alone: without it nothing says what happened.",
            ),
            events="`OBJECT_FINALIZE` (→ `updated`, `replaced` where it overwrote), `OBJECT_DELETE` (→ `deleted`; "
            "`replaced` for the half of an overwrite), `OBJECT_ARCHIVE` (→ `unpublished`). Metadata updates are "
            "ignored.",
            covered="The token says which service account pushes, not what: message, attributes and time are believed "
            "because the push came over TLS with it. It lives for an hour. Google signs such tokens for anybody's "
            "project, so the pinned `email` is what keeps strangers out.",
            retries="The acknowledgement deadline (10 to 600 s) is the time-out; 102, 200, 201, 202 and 204 count, "
            "anything else is sent again until the retention ends or a dead-letter topic takes it. Pushes slow down "
            "after failures, and the subscription stays on.",
            urls="Computed: the base of the bucket (`bases`) and the object's name, in both usual spellings. Variants: "
            "`virtual-hosted` and `path-style` (Google's two kinds of object URLs).",
        ),
    )
    variants = GOOGLE_VARIANTS

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Authentic:
        authentic = super().verify(request, now, key)
        if self.source.topics:
            self._check_subscription(request)
        return authentic

    def _check_subscription(self, request: RawRequest) -> None:
        given = request.header(SUBSCRIPTION)
        if given is None:
            try:
                given = json_body.text(json_body.parse(request.body), "subscription")
            except Unreadable as error:
                raise Refused("message_malformed", str(error)) from None
        if given not in self.source.topics:
            raise Refused("topic_not_allowed", "the subscription is not among the source's topics")

    def read(self, request: Verified) -> Notification:
        message = Message.unwrapped(request) if MESSAGE_ID in request.headers else Message.wrapped(request.body)
        attributes, data = message.attributes, message.data
        resource = data if isinstance(data, dict) else {}
        event_type = json_body.text(attributes, "eventType")
        if event_type is None:
            ignored = Ignored("the message is no notification of Cloud Storage: it has no eventType")
            return Notification(payload=message.payload, instead=ignored, event_id=message.id)
        event = self.event(
            event_type.removeprefix("OBJECT_"),
            {"generation": attributes.get("objectGeneration"), **resource},
            bucket=json_body.text(attributes, "bucketId"),
            name=json_body.text(attributes, "objectId"),
            time=attributes.get("eventTime") or message.published_at,
            overwritten_by=json_body.text(attributes, "overwrittenByGeneration"),
            overwrote=json_body.text(attributes, "overwroteGeneration"),
        )
        instead = None if event else Ignored(f"{event_type} tells of no object that was written or removed")
        return Notification(
            payload=message.payload, events=(event,) if event else (), instead=instead, event_id=message.id
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        old, new = str(to_ms(now) * 1000 - 2_016_501), str(to_ms(now) * 1000)
        written, overwritten = {"overwroteGeneration": old}, {"overwrittenByGeneration": new}
        return {
            "overwrite": _wrapped("OBJECT_FINALIZE", new, written, now),
            "overwritten": _wrapped("OBJECT_DELETE", old, overwritten, now),
            "create": _wrapped("OBJECT_FINALIZE", new, {}, now),
            "delete": _wrapped("OBJECT_DELETE", new, {}, now),
            "unwrapped": _unwrapped("OBJECT_FINALIZE", new, written, now),
        }


def _message(
    event_type: str, generation: str, more: Mapping[str, str], now: datetime
) -> tuple[dict[str, str], bytes, str]:
    """Attributes, data and id of a sample."""
    attributes = {
        "notificationConfig": "projects/_/buckets/my-bucket/notificationConfigs/1",
        "eventType": event_type,
        "payloadFormat": "JSON_API_V1",
        "bucketId": "my-bucket",
        "objectId": SAMPLE_KEY,
        "objectGeneration": generation,
        "eventTime": iso(now),
        **more,
    }
    return attributes, msgspec.json.encode(sample_resource(generation)), str(to_ms(now) * 10 + len(event_type))


def _wrapped(event_type: str, generation: str, more: Mapping[str, str], now: datetime) -> Sample:
    attributes, data, message_id = _message(event_type, generation, more, now)
    message = {"attributes": attributes, "data": base64.b64encode(data).decode(), "publishTime": iso(now)}
    message |= {"messageId": message_id, "message_id": message_id, "publish_time": iso(now)}
    return json_sample({"message": message, "subscription": "projects/my-project/subscriptions/images"})


def _unwrapped(event_type: str, generation: str, more: Mapping[str, str], now: datetime) -> Sample:
    attributes, data, message_id = _message(event_type, generation, more, now)
    own = {MESSAGE_ID: message_id, SUBSCRIPTION: "projects/my-project/subscriptions/images", PUBLISH_TIME: iso(now)}
    return Sample(data, {**own, **{name.lower(): value for name, value in attributes.items()}})
