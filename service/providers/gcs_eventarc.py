"""Google Cloud Storage through Eventarc: CloudEvents, with the token of the service account that delivers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from service.domain.clock import iso, to_ms
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.bucket_urls import GOOGLE_VARIANTS
from service.providers.cloud_events import HEADERS, STRUCTURED, CloudEvent, parse_events, payload_of
from service.providers.google_storage import GOOGLE_AUTH, SAMPLE_KEY, GoogleStorage, sample_resource
from service.providers.plain_provider import json_sample
from service.providers.s3_records import id_of_batch

_PREFIX = "google.cloud.storage.object.v1."


class GcsEventarc(GoogleStorage):
    """https://docs.cloud.google.com/eventarc/docs/cloudevents

    Bucket and name come from the body: whether Google percent-encodes `ce-subject` is unknown.
    """

    info = Info(
        name="gcs-eventarc",
        title="Google Cloud Storage through Eventarc",
        doc_url="https://docs.cloud.google.com/eventarc/docs/cloudevents",
        signs="nothing of the event: an OIDC token (JWT, RS256) of the service account that delivers",
        tolerance=None,
        stored_headers=HEADERS,
        auth=GOOGLE_AUTH,
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "Eventarc Advanced: *Eventarc → Pipelines → Create*, destination HTTP endpoint "
                "`https://relay.example.com/hooks/NAME`, authentication **Google OIDC token** with a service account "
                "of its own and that URL as audience.",
                "An enrollment of the bus for `message.type.startsWith('google.cloud.storage.object.v1.')` with this "
                "pipeline as its destination, and the bucket's Google API source on the bus.",
                "`auth: {jwt: {audience: https://relay.example.com/hooks/NAME, email: ACCOUNT@PROJECT.iam"
                ".gserviceaccount.com}}`, and `bases: {BUCKET: https://…}`.",
                "Eventarc Standard delivers to Google's own services alone: use `gcs-pubsub` for a relay elsewhere.",
            ),
            events="`finalized` (→ `updated`: a new object and an overwritten one look the same), `deleted` "
            "(→ `deleted`), `archived` (→ `unpublished`). `metadataUpdated` and all else are ignored.",
            covered="The token says which service account delivers, not what: attributes in headers, body and time are "
            "believed with it. It lives for an hour. A repeated delivery is known by `source` and `id`.",
            retries="The pipeline's retry policy; its time-out, which codes are retried and for how long in a case are "
            "unknown to us, as are the exact headers to endpoints outside Google. Any 2xx is an acknowledgement.",
            urls="Computed: the base of the bucket (`bases`) and the object's name, in both usual spellings. Variants: "
            "`virtual-hosted` and `path-style` (Google's two kinds of object URLs).",
        ),
    )
    variants = GOOGLE_VARIANTS

    def read(self, request: Verified) -> Notification:
        given = parse_events(request)
        found = tuple(event for one in given if (event := self._event(one)) is not None)
        instead = None if found else Ignored("no event tells of an object that was written or removed")
        return Notification(
            payload=payload_of(given), events=found, instead=instead, event_id=id_of_batch(one.key for one in given)
        )

    def _event(self, given: CloudEvent) -> AssetEvent | None:
        if not given.type.startswith(_PREFIX):
            return None
        resource = json_body.obj(given.document, "data")
        return self.event(
            given.type.removeprefix(_PREFIX),
            resource,
            bucket=json_body.text(resource, "bucket"),
            name=json_body.text(resource, "name"),
            time=json_body.text(given.document, "time"),
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        generation = str(to_ms(now) * 1000)
        attributes = {
            name: {
                "specversion": "1.0",
                "id": str(to_ms(now) + number),
                "source": "//storage.googleapis.com/projects/_/buckets/my-bucket",
                "type": f"{_PREFIX}{name}",
                "subject": f"objects/{SAMPLE_KEY}",
                "time": iso(now),
            }
            for number, name in enumerate(("finalized", "deleted", "metadataUpdated"))
        }
        found = {
            name: json_sample(sample_resource(generation), {f"ce-{key}": value for key, value in given.items()})
            for name, given in attributes.items()
        }
        structured = {**attributes["finalized"], "id": str(to_ms(now) + 9), "data": sample_resource(generation)}
        return {**found, "structured": json_sample(structured, {"content-type": STRUCTURED})}
