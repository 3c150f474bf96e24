"""Buckets whose notifications are posted by the store itself and signed by nobody."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar

from service.domain.clock import iso
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.credential_only import CredentialOnly
from service.providers.s3_records import Objects, listed, read_records, warnings_of_bases
from service.settings.model import Source


class BucketWebhook(CredentialOnly):
    """A bucket's sender: what it says of its objects, as events with the URLs that `bases` gives them."""

    encoding: ClassVar[str] = "verbatim"  # of object keys, where the source does not say otherwise

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self.objects = Objects.of(source, self.encoding)

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        events = tuple(self.events(payload))
        instead = None if events else Ignored("nothing in it tells of an object that was written or removed")
        return Notification(payload=payload, events=events, instead=instead, event_id=self.event_id(payload))

    @abstractmethod
    def events(self, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        """What the body tells of objects; raises Unreadable."""

    def event_id(self, payload: dict[str, Any]) -> str | None:
        """The sender's id of what the body tells, for those that give one."""
        return None


class S3Webhook(BucketWebhook):
    """A store that posts S3's event records as they are."""

    def events(self, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        listed(payload, "Records")
        yield from read_records(payload, self.objects.bases, self.objects.encoding)


def s3_record(event_source: str, event_name: str, key: str, of_object: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A record of a sample, of what such stores have in common."""
    return {
        "eventVersion": "2.0",
        "eventSource": event_source,
        "awsRegion": "",
        "eventTime": iso(now),
        "eventName": event_name,
        "userIdentity": {"principalId": "relay"},
        "requestParameters": {"sourceIPAddress": "203.0.113.7"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "image-relay",
            "bucket": {"name": "my-bucket", "ownerIdentity": {"principalId": "relay"}, "arn": "arn:aws:s3:::my-bucket"},
            "object": {"key": key, **of_object},
        },
    }
