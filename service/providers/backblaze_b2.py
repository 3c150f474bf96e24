"""Backblaze B2: HMAC-SHA256 over the body; objects written, hidden and deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification, TestPing
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import HexBodySignature
from service.providers.s3_records import Objects, id_of_batch, listed, warnings_of_bases
from service.settings.model import Source

_SIGNATURE = "x-bz-event-notification-signature"
_TEST = "b2:TestEvent"

# https://www.backblaze.com/docs/cloud-storage-event-notifications-reference-guide. An overwrite looks like a creation;
# a deletion through S3's API, which names no version, hides the object. `b2:MultipartUploadCreated` is left out: the
# object is still being written.
_KINDS = {
    "b2:ObjectCreated": AssetKind.UPDATED,
    "b2:ObjectDeleted": AssetKind.DELETED,
    "b2:HideMarkerCreated": AssetKind.DELETED,
}


class BackblazeB2(HexBodySignature):
    """https://www.backblaze.com/docs/cloud-storage-event-notifications-reference-guide

    No time is signed: a replayed request is known by its events' ids. A rule without a signing secret sends unsigned
    requests, which are refused here, although Backblaze's Java library lets them pass.
    """

    signature_header = _SIGNATURE  # its key is the secret as it is shown, not base64 of one
    signature_prefix = "v1="
    info = Info(
        name="backblaze-b2",
        title="Backblaze B2",
        doc_url="https://www.backblaze.com/docs/cloud-storage-event-notifications-reference-guide",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        unreadable_status=200,  # a rule that keeps failing may be suspended
        stored_headers=frozenset({_SIGNATURE, "content-type"}),
        auth=("capability",),
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "*Buckets → Event notifications → Create a rule*: events **ObjectCreated**, **ObjectDeleted** and "
                "**HideMarkerCreated**, target URL `https://relay.example.com/hooks/NAME`.",
                "Give the rule a signing secret (32 characters): it is one of `secrets`. Without one nothing is "
                "signed, which is refused.",
                "`bases: {BUCKET: https://img.example.com/}`.",
            ),
            events="`b2:ObjectCreated:*` becomes `updated`, as an overwrite looks like a creation; "
            "`b2:ObjectDeleted:*` and `b2:HideMarkerCreated:*` become `deleted`. `b2:MultipartUploadCreated` is "
            "ignored, `b2:TestEvent` is a test.",
            covered="The body alone; no time. A repeated event is known by its id.",
            retries="An answer is due within 3 s and has to be 200; all else is tried again. Backblaze may suspend "
            "a rule that keeps failing.",
            urls="Computed: the base of the bucket (`bases`) and the object's name, in both usual spellings of "
            "special characters. Whether names come encoded is unknown; they are taken as they are unless "
            "`key_encoding` says otherwise.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        # Whether a name is ever encoded is not documented; the guide's examples are plain.
        self._objects = Objects.of(source, "verbatim")

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        given = listed(payload, "events")
        events = tuple(self._events(given))
        instead = None if events else _nothing(given)
        return Notification(
            payload=payload,
            events=events,
            instead=instead,
            event_id=id_of_batch(json_body.text(one, "eventId") for one in given),
        )

    def _events(self, given: list[Any]) -> Iterator[AssetEvent]:
        for one in given:
            kind = _KINDS.get((json_body.text(one, "eventType") or "").rpartition(":")[0])
            if kind is None:
                continue
            event = self._objects.event(
                kind,
                json_body.text(one, "bucketName"),
                json_body.text(one, "objectName"),
                occurred_at=json_body.moment(one, "eventTimestamp"),
                content_hash=json_body.text(one, "objectVersionId"),
            )
            if event is not None:
                yield event

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        version = {"objectVersionId": f"4_zaea8c5bc362ae55070130333_f117c7bd5d6c6597c_u{to_ms(now):014d}"}
        stored = {"objectName": "products/red hero.jpg", **version}
        return {
            "upload": _sample("b2:ObjectCreated:Upload", {**stored, "objectSize": 109669}, now),
            "hide": _sample("b2:HideMarkerCreated:Hide", {**stored, "objectSize": 0}, now),
            "delete": _sample("b2:ObjectDeleted:Delete", stored, now),
            "test-event": _sample(_TEST, {}, now),
        }


def _nothing(given: list[Any]) -> Ignored | TestPing:
    if any(json_body.text(one, "eventType") == _TEST for one in given):
        return TestPing("the test event of a rule")
    return Ignored("no event tells of an object that was written or removed")


def _sample(event_type: str, of_object: Mapping[str, Any], now: datetime) -> Sample:
    event = {
        "accountId": "e85c6a500333",
        "bucketId": "aea8c5bc362ae55070130333",
        "bucketName": "my-bucket",
        "eventId": sha256(f"{event_type} {iso(now)}".encode()).hexdigest()[:32],
        "eventTimestamp": to_ms(now),
        "eventType": event_type,
        "eventVersion": 1,
        "matchedRuleName": "image-relay",
        **of_object,
    }
    return Sample(msgspec.json.encode({"events": [event]}), {"content-type": "application/json"})
