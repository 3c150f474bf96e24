"""Oracle Cloud's Object Storage through Events and Notifications (ONS): events of objects behind a secret URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Notification, TestPing
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.bucket_webhook import BucketWebhook
from service.providers.plain_provider import json_sample
from service.settings.model import Auth

_HEADERS = "x-oci-ns-"
_CONFIRMATION_URL = "ConfirmationURL"

# https://docs.oracle.com/iaas/Content/Events/Reference/eventsproducers.htm. Which of the two tells of an overwrite is
# not written down, so a creation may be a replacement.
_STORAGE = "com.oraclecloud.objectstorage."
_KINDS = {
    f"{_STORAGE}createobject": AssetKind.UPDATED,
    f"{_STORAGE}updateobject": AssetKind.UPDATED,
    f"{_STORAGE}deleteobject": AssetKind.DELETED,
}


class OracleOns(BucketWebhook):
    """https://docs.oracle.com/iaas/Content/Notification/Tasks/create-subscription-https.htm

    Oracle signs what it sends, and does not say what the signature is of: it is not looked at here. The subscription's
    URL carries the credential.
    """

    info = Info(
        name="oracle-ons",
        title="Oracle Cloud Object Storage, through Notifications",
        doc_url="https://docs.oracle.com/iaas/Content/Notification/Tasks/create-subscription-https.htm",
        signs="something that Oracle does not document; the secret in the subscription's URL counts",
        tolerance=None,
        stored_headers=frozenset(
            {
                "content-type",
                *(f"{_HEADERS}{name}" for name in ("messageid", "messagetype", "topicocid", "topicname", "timestamp")),
            }
        ),
        auth=("capability", "basic", "query"),
        options=("bases", "key_encoding"),
        guide=Guide(
            setup=(
                "Object Storage: *bucket → Emit object events*: enabled.",
                "Notifications: a topic, and in it a subscription: protocol HTTPS (Custom URL), URL as `image-relay "
                "url NAME` prints it. Instead of the secret URL, `https://USER:PASSWORD@relay.example.com/hooks/NAME` "
                "goes with `auth: {basic: USER}`.",
                "Events: a rule for the types *Object - Create*, *Object - Update* and *Object - Delete* whose action "
                "is that topic.",
                "Oracle asks the URL for consent. The relay keeps that message as a test and opens nothing: read its "
                "`ConfirmationURL` with `image-relay receipts show` and open it yourself within three days, once you "
                "have seen that it is Oracle's (`https://….oraclecloud.com/…`).",
                "`bases: {BUCKET: https://…}` for every bucket.",
            ),
            events="`createobject` and `updateobject` (→ `updated`: which of them an overwrite is, is not documented), "
            "`deleteobject` (→ `deleted`). All other events are ignored.",
            covered="Nothing is verified but the secret in the URL: Oracle sends a signature, but what it signs is not "
            "documented. A repeated delivery is known by the event's `eventID`.",
            retries="Retried at once and after 1, 2, 4, 8, 16 and 32 minutes, for two hours unless the subscription "
            "says otherwise. The time-out, the answers that count and whether a subscription is switched off are "
            "unknown.",
            urls="Computed: the base of the bucket (`bases`) and the object's name, which comes as it is as far as is "
            "known (`key_encoding` says otherwise).",
        ),
    )
    usual_auth = Auth(capability=True)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        if _CONFIRMATION_URL in payload:
            ping = TestPing(f"Oracle asks for consent: open the {_CONFIRMATION_URL} in this message if it is Oracle's")
            return Notification(payload=payload, instead=ping)
        return super().read(request)

    def events(self, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        event_type = json_body.text(payload, "eventType")
        if event_type is None:
            raise Unreadable("the body is no event of Oracle's: it has no eventType")
        kind = _KINDS.get(event_type)
        event = kind and self.objects.event(
            kind,
            json_body.text(payload, "data", "additionalDetails", "bucketName"),
            json_body.text(payload, "data", "resourceName"),
            occurred_at=json_body.moment(payload, "eventTime"),
            content_hash=json_body.text(payload, "data", "additionalDetails", "eTag"),
        )
        if event:
            yield event

    def event_id(self, payload: dict[str, Any]) -> str | None:
        return json_body.text(payload, "eventID")

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        url = "https://cell1.notification.eu-frankfurt-1.oci.oraclecloud.com/20181201/subscriptions/x/confirmation"
        return {
            "update": _sample("updateobject", now),
            "delete": _sample("deleteobject", now),
            "confirmation": json_sample(
                {_CONFIRMATION_URL: f"{url}?token={_uuid('confirmation', now)}"},
                {f"{_HEADERS}messagetype": "SubscriptionConfirmation"},
            ),
        }


def _sample(what: str, now: datetime) -> Sample:
    details = {"bucketName": "my-bucket", "namespace": "mytenancy", "eTag": _uuid("etag", now)}
    event = {
        "eventType": f"{_STORAGE}{what}",
        "cloudEventsVersion": "0.1",
        "eventTypeVersion": "2.0",
        "source": "ObjectStorage",
        "eventTime": iso(now),
        "contentType": "application/json",
        "data": {
            "compartmentId": "ocid1.compartment.oc1..exampleuniqueID",
            "resourceName": "products/red hero.jpg",
            "resourceId": "/n/mytenancy/b/my-bucket/o/products/red hero.jpg",
            "additionalDetails": details,
        },
        "eventID": _uuid(what, now),
    }
    headers = {f"{_HEADERS}messagetype": "Notification", f"{_HEADERS}messageid": _uuid(f"{what} message", now)}
    return json_sample(event, headers)


def _uuid(what: str, now: datetime) -> str:
    return str(UUID(bytes=sha256(f"{what} {iso(now)}".encode()).digest()[:16]))
