"""Any sender of CloudEvents whose events are about assets, in the shape that plain payloads have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from service.domain.clock import iso, to_ms
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import Greeting, RawRequest, Verified
from service.providers.base import Guide, Info, Sample, SourceProblem
from service.providers.cloud_events import BATCH, HEADERS, STRUCTURED, CloudEvent, parse_events, payload_of
from service.providers.credential_only import CredentialOnly
from service.providers.plain_payload import plain_event
from service.providers.plain_provider import json_sample
from service.providers.s3_records import id_of_batch
from service.providers.webhook_consent import METHODS, asks_for_consent, consent
from service.settings.model import Source

_VERSION = re.compile(r"\.v[0-9]+$")  # `com.example.asset.deleted.v2`
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class GenericCloudEvents(CredentialOnly):
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md

    The handshake establishes no identity, says the specification: a secret in the URL must be right for it too, one in
    a header is asked of webhooks alone.
    """

    info = Info(
        name="cloudevents",
        title="CloudEvents of your own",
        doc_url="https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md",
        signs="nothing; a bearer token, `access_token` in the query, or a JWT",
        tolerance=None,
        stored_headers=HEADERS,
        auth=("bearer", "query", "jwt", "header", "basic", "capability"),
        options=("allowed_origins",),
        handshake_methods=METHODS,
        guide=Guide(
            setup=(
                "Have the sender POST to `https://relay.example.com/hooks/NAME` with `Authorization: Bearer` and one "
                "of `secrets`; where it cannot, `?access_token=SECRET` and `auth: {query: access_token}`.",
                "A sender that asks first, with OPTIONS and `WebHook-Request-Origin`, is answered where its origin is "
                "among `allowed_origins: [events.example.com]`; `quota` is the rate it is told.",
            ),
            events="The last word of `type` is the kind (`com.example.asset.replaced`, `….deleted`, with `.v1` behind "
            "it too): created, uploaded, updated, published, replaced, renamed, deleted, unpublished, restored. "
            "Anything else is `unknown` and left to rules.",
            covered="Nothing is signed: whoever holds the token is believed, attributes, body and time and all. A "
            "repeated delivery is known by `source` and `id`.",
            retries="The sender's own. 200 is an acknowledgement; 429 comes with `Retry-After`, which the "
            "specification makes senders obey; 400 says that the body is no CloudEvent.",
            urls="In `data`: `url`, `urls`, `old_url` and the like.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._origins = {origin.lower() for origin in source.allowed_origins}
        if not all(map(_HOST.fullmatch, self._origins)):
            raise SourceProblem("allowed_origins", "an origin is a host name such as events.example.com")

    def greeting(self, request: RawRequest, now: datetime) -> Greeting | None:
        if not self._origins or not asks_for_consent(request):
            return None
        if self.credential is not None and self.credential.kind in ("query", "capability"):
            self.credential.verify(request, now, None)
        return consent(request, self.source, self._origins)

    def read(self, request: Verified) -> Notification:
        given = parse_events(request)
        return Notification(
            payload=payload_of(given),
            events=tuple(_asset(one) for one in given),
            instead=None if given else Ignored("the batch is empty"),
            event_id=id_of_batch(one.key for one in given),
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        url = "https://images.example.com/products"
        data = {"id": "img_2f1c", "url": f"{url}/hero-v2.jpg", "old_url": f"{url}/hero.jpg", "filename": "hero.jpg"}
        replaced, deleted = (_attributes(kind, now) for kind in ("replaced", "deleted"))
        headers = {f"ce-{name}": value for name, value in replaced.items()}
        return {
            "replaced": json_sample({**replaced, "data": data}, {"content-type": STRUCTURED}),
            "deleted": json_sample({**deleted, "data": data}, {"content-type": STRUCTURED}),
            "binary": json_sample(data, headers),
            "batch": json_sample(
                [{**replaced, "data": data}, {**deleted, "data": data}], headers={"content-type": BATCH}
            ),
        }


def _asset(given: CloudEvent) -> AssetEvent:
    """The asset in an event's data; without an id or URL in there, the subject stands for it."""
    fallback_id = f"{given.source} {given.subject or given.id}"
    event = plain_event({"data": given.data}, _VERSION.sub("", given.type), fallback_id)
    return replace(event, occurred_at=given.time)


def _attributes(kind: str, now: datetime) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{kind}-{to_ms(now)}",
        "source": "/media-library",
        "type": f"com.example.asset.{kind}",
        "time": iso(now),
    }
