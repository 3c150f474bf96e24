"""Prismic: a secret inside the body; documents that were published or unpublished, by their ids alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification, TestPing
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_secret import BodySecret
from service.providers.credential_only import UNSIGNED_AUTH
from service.providers.plain_provider import json_sample


class Prismic(BodySecret):
    """https://prismic.io/docs/webhooks

    There is no event of the media library. Anything but a 200, another 2xx too, counts as a failure.
    """

    secret_field = "secret"  # noqa: S105 - the name of the field, not a secret
    info = Info(
        name="prismic",
        title="Prismic",
        doc_url="https://prismic.io/docs/webhooks",
        signs="nothing: a secret in the body",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        guide=Guide(
            setup=(
                "*Settings → Webhooks → Create a webhook*: URL `https://relay.example.com/hooks/NAME`, and a "
                "**secret**, one of `secrets`.",
                "Choose **A document is published** and **A document is unpublished** as its triggers.",
                "Or leave the secret empty, add a custom header, and say so: `auth: {header: NAME}`.",
            ),
            events="Every document in `documents` becomes `updated`, whether it was published or unpublished: the body "
            "does not say which. Releases, tags and masks alone are ignored, `test-trigger` is a test. The media "
            "library has no events: a file that is replaced is noticed when a document that shows it is published.",
            covered="Nothing is signed: whoever knows the secret is believed, and there is no time. The secret is "
            "stored and shown as `***`. The body's `masterRef` is another after every publication, so the same body "
            "again is a repetition.",
            retries="Anything but **200** comes again every 10 minutes, at most five times. The time-out, and whether "
            "a webhook is ever switched off, are unknown.",
            urls="Not in the payload, which has ids alone: the `resolve` preset for Prismic asks its API for the "
            "documents, or a rule makes URLs of `asset.id`. `PrismicNextImage` loads from Prismic's own image service, "
            "past Vercel: then there is nothing to purge.",
        ),
    )

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        kind = json_body.text(payload, "type")
        if kind is None:
            raise Unreadable("the body has no type")
        if kind == "test-trigger":
            return Notification(payload=payload, instead=TestPing("Prismic's test button"))
        documents = (one for one in json_body.array(payload, "documents") if isinstance(one, str) and one)
        events = tuple(AssetEvent(kind=AssetKind.UPDATED, id=one) for one in dict.fromkeys(documents))
        instead = None if events else Ignored("no document was published or unpublished")
        return Notification(payload=payload, events=events, instead=instead)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        changed = {"documents": ["ZzQxFhEAAC4AvK9W", "ZzQxNREAACsAvK-B"]}
        return {
            "api-update": _sample("api-update", now, changed),
            "release": _sample("api-update", now, {"documents": []}),
            "test-trigger": _sample("test-trigger", now, {}),
        }


def _sample(kind: str, now: datetime, fields: Mapping[str, Any]) -> Sample:
    repository = {
        "type": kind,
        "secret": None,
        "domain": "acme",
        "apiUrl": "https://acme.prismic.io/api",
        "masterRef": sha256(iso(now).encode()).hexdigest()[:16],
    }
    return json_sample({**repository, "releases": {}, "masks": {}, "tags": {}, **fields})
