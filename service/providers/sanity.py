"""Sanity: HMAC-SHA256 over time and body; image assets, and documents that reference them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha1, sha256
from typing import Any

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem, refuse_stale
from service.providers.sanity_images import ASSET_TYPE, DATASET, HOST, PROJECT, Images, Place
from service.providers.signatures import hmac_sha256, matches_any, to_base64url, unix_time
from service.settings.model import Source

_SIGNATURE = "sanity-webhook-signature"
_HEADER = re.compile(r"t=([0-9]{13}),v1=([A-Za-z0-9_-]{43})")  # one signature, unpadded; milliseconds, never seconds

_OLD = ("old", "before", "previous")  # what projections call the value before the change
_SET_APART = frozenset({*_OLD, "new"})
_DRAFTS = "drafts."  # https://www.sanity.io/docs/content-lake/drafts

_KINDS = {"create": AssetKind.CREATED, "update": AssetKind.UPDATED, "delete": AssetKind.DELETED}


class Sanity(Provider):
    """https://www.sanity.io/docs/content-lake/webhook-best-practices"""

    info = Info(
        name="sanity",
        title="Sanity",
        doc_url="https://www.sanity.io/docs/content-lake/webhooks",
        signs="HMAC-SHA256 over time and body",
        tolerance=300,
        stored_headers=frozenset(
            {
                _SIGNATURE,
                "idempotency-key",
                "sanity-dataset",
                "sanity-document-id",
                "sanity-operation",
                "sanity-project-id",
                "sanity-transaction-id",
                "sanity-transaction-time",
                "sanity-webhook-id",
                "content-type",
            }
        ),
        auth=("header", "capability"),
        options=("project_id", "dataset", "cdn_host"),
        guide=Guide(
            setup=(
                "*sanity.io/manage → API → Webhooks → Create webhook*: URL `https://relay.example.com/hooks/NAME`, "
                "method **POST**, trigger on create, update and delete.",
                'Filter `_type == "sanity.imageAsset"` for the assets themselves, or the types of the documents '
                "that show images.",
                'Projection: leave it empty for the whole document, or give old and new: `{_id, _type, "projectId": '
                'sanity::projectId(), "dataset": sanity::dataset(), "new": image, "old": before().image}`.',
                "Choose a secret: it is one of `secrets`. `project_id` and `dataset` in relay.yaml are needed where "
                "the projection leaves them out.",
            ),
            events="`create`, `update` and `delete` become `created`, `updated` and `deleted`; an update whose old "
            "and new images are both told and differ becomes `replaced`. Drafts, and documents without an image, "
            "are ignored.",
            covered="The body and the time. Sanity's own headers (operation, document, dataset, idempotency key) "
            "are not signed, so a projection that has them in the body is the safer one.",
            retries="An answer is due within 30 s, one request at a time for each webhook; 429 and 5xx are tried "
            "again twice, 30 s apart, other 4xx never. Whether a retry has a new time, and whether a webhook is "
            "switched off, is unknown.",
            urls="Computed from asset ids (`image-…`) with project, dataset and `cdn_host`, or taken from `url`. A "
            "new picture is a new asset with a URL of its own; the old one comes with the projection's `before()` "
            "or from memory. A builder's `?w=…` is part of a source URL: the rule's `without-query` and templates "
            "say which ones a site uses.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        for option, pattern in (("project_id", PROJECT), ("dataset", DATASET), ("cdn_host", HOST)):
            value = getattr(source, option)
            if value is not None and not pattern.fullmatch(value):
                raise SourceProblem(option, f"{value!r} cannot be part of an image's URL")

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        found = _HEADER.fullmatch(request.required(_SIGNATURE))
        if found is None:
            raise Refused("signature_malformed", f"{_SIGNATURE} is not t=…,v1=…")
        timestamp, given = found.groups()
        signed_at = unix_time(timestamp, "ms")
        # The text is compared, as @sanity/webhook does: its last character has two bits that no decoder looks at.
        if not matches_any([given.encode()], [one.encode() for one in self._signatures(timestamp, request.body)]):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic("sanity-v1", signed_at)

    def _signatures(self, timestamp: str, body: bytes) -> list[str]:
        message = f"{timestamp}.".encode() + body
        return [to_base64url(hmac_sha256(secret.encode(), message)) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        timestamp = f"{to_ms(now):013}"
        signature = f"t={timestamp},v1={self._signatures(timestamp, sample.body)[0]}"
        return Sample(sample.body, {**sample.headers, _SIGNATURE: signature})

    def read(self, request: Verified) -> Notification:
        document = json_body.parse_object(request.body)
        found = _asset_event(
            document, _kind(document, request.headers), self._place(document, request), request.headers
        )
        event_id = request.headers.get("idempotency-key")
        if isinstance(found, Ignored):
            return Notification(payload=document, instead=found, event_id=event_id)
        return Notification(payload=document, events=(found,), event_id=event_id)

    def _place(self, document: dict[str, Any], request: Verified) -> Place:
        """The options come first, then what the signed body says, then the headers, which the signature leaves out."""
        source, headers = self.source, request.headers
        return Place.of(
            projects=(source.project_id, json_body.text(document, "projectId"), headers.get("sanity-project-id")),
            datasets=(source.dataset, json_body.text(document, "dataset"), headers.get("sanity-dataset")),
            host=source.cdn_host,
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        old, new = (_sample_image(f"{name} {iso(now)}") for name in ("old", "new"))
        page = {"_id": "page-home", "_type": "page", "_updatedAt": iso(now), "new": new, "old": old}
        asset = {
            "_id": new,
            "_type": ASSET_TYPE,
            "_updatedAt": iso(now),
            "url": Place("abc123de", "production").url(new),
            "originalFilename": "hero.jpg",
            "mimeType": "image/jpeg",
        }
        return {
            "document-update": _sample(page, "update", now),
            "asset-update": _sample(asset, "update", now),
            "asset-delete": _sample(asset, "delete", now),
        }


def _kind(document: dict[str, Any], headers: Mapping[str, str]) -> AssetKind:
    """A projected `operation` is signed and comes before the header. Without either the document is there: updated."""
    operation = json_body.text(document, "operation") or headers.get("sanity-operation")
    return _KINDS.get(operation or "", AssetKind.UPDATED)


def _asset_event(
    document: dict[str, Any], kind: AssetKind, place: Place, headers: Mapping[str, str]
) -> AssetEvent | Ignored:
    current, old = _current(document, place), Images.of(place, [document[key] for key in _OLD if key in document])
    own_id = json_body.text(document, "_id") or headers.get("sanity-document-id")
    if kind is AssetKind.DELETED and own_id is not None and own_id.startswith(_DRAFTS):
        return Ignored("a draft was published or discarded")
    if not current and not old and (kind is not AssetKind.DELETED or own_id is None):
        return Ignored("the document has and references no image")
    if kind is AssetKind.UPDATED and current and old and set(current.names) != set(old.names):
        kind = AssetKind.REPLACED
    return AssetEvent(
        kind=kind,
        id=own_id.removeprefix(_DRAFTS) if own_id else _digest(current or old),
        urls=current.urls,
        earlier_urls=tuple(url for url in old.urls if url not in current.urls),
        filename=json_body.text(document, "originalFilename"),
        mime_type=json_body.text(document, "mimeType"),
        environment=place.dataset,
        occurred_at=json_body.moment(document, "_updatedAt")
        or json_body.moment(headers.get("sanity-transaction-time")),
        content_hash=_digest(current) if current else None,
    )


def _current(document: dict[str, Any], place: Place) -> Images:
    """What the document shows now: `new`, where a projection gives it, and all else that is not the old value."""
    rest = {key: value for key, value in document.items() if key not in _SET_APART}
    return Images.of(place, [document.get("new"), rest])


def _digest(images: Images) -> str:
    return sha256("\n".join(sorted(images.names)).encode()).hexdigest()[:32]


def _sample_image(seed: str) -> str:
    return f"image-{sha1(seed.encode(), usedforsecurity=False).hexdigest()}-1200x800-jpg"


def _sample(document: dict[str, Any], operation: str, now: datetime) -> Sample:
    headers = {
        "content-type": "application/json",
        "idempotency-key": sha256(f"{operation} {document['_id']} {iso(now)}".encode()).hexdigest()[:32],
        "sanity-operation": operation,
        "sanity-document-id": str(document["_id"]),
        "sanity-project-id": "abc123de",
        "sanity-dataset": "production",
        "sanity-transaction-time": iso(now),
    }
    body = document | {"projectId": "abc123de", "dataset": "production", "operation": operation}
    return Sample(msgspec.json.encode(body), headers)
