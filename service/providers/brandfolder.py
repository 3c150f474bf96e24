"""Brandfolder: assets by their key, behind a secret URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import CredentialOnly
from service.providers.plain_provider import json_sample
from service.settings.model import Auth

_KINDS = {
    "asset.create": AssetKind.CREATED,
    "asset.update": AssetKind.UPDATED,
    "asset.delete": AssetKind.DELETED,
}
_OF_AN_EVENT = ("key", "event_type", "event_time")


class Brandfolder(CredentialOnly):
    """https://developers.smartsheet.com/api/brandfolder/openapi

    The callback must not ask for authentication, and there is no signature: its URL is all that can be secret.
    """

    info = Info(
        name="brandfolder",
        title="Brandfolder",
        doc_url="https://developers.smartsheet.com/api/brandfolder/openapi",
        signs="nothing; the secret in the callback's URL counts",
        tolerance=None,
        unreadable_status=200,  # a subscription that keeps failing is made inactive
        stored_headers=frozenset({"content-type"}),
        auth=("capability", "query"),
        guide=Guide(
            setup=(
                "`image-relay url NAME` prints the secret URL (`https://relay.example.com/hooks/NAME/…`).",
                "Brandfolder's API: `POST /webhooks` with that URL as the callback and the events `asset.create`, "
                "`asset.update` and `asset.delete`; `POST /webhooks/send` sends a test.",
                "`resolve:` with `GET /assets/{key}/attachments` of Brandfolder's API, as the webhook has no URLs; or "
                "a rule with a template where an asset's URL follows from its key.",
            ),
            events="`asset.update` (→ `updated`), `asset.delete` (→ `deleted`), `asset.create` (→ `created`; an "
            "update follows once the asset is ready). Whether a replaced file is an update is not documented: "
            "Brandfolder lists texts, sections, approval, tags and custom fields.",
            covered="Nothing is signed: whoever knows the URL is believed. A repeated delivery is known by webhook, "
            "asset, event and its time in microseconds.",
            retries="2xx counts. Anything else is tried up to 15 times more, further and further apart; a subscription "
            "that keeps failing is made inactive, and so is one whose API key has lost access, within 30 minutes. The "
            "time-out is unknown.",
            urls="Only the asset's key is in the payload: looked up with `resolve:`, or remembered.",
        ),
    )
    usual_auth = Auth(capability=True)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        attributes = json_body.obj(payload, "data", "attributes")
        key, event_type, event_time = (json_body.text(attributes, name) for name in _OF_AN_EVENT)
        if key is None or event_type is None:
            raise Unreadable("the body is no event of Brandfolder's: it has no key or no event_type")
        kind = _KINDS.get(event_type)
        if kind is None:
            return Notification(payload=payload, instead=Ignored(f"{event_type} is not about an asset"))
        # The time names no zone; it is taken for UTC, and serves to put one asset's events in order.
        event = AssetEvent(kind=kind, id=key, urls=(), occurred_at=json_body.moment(attributes, "event_time"))
        webhook = json_body.scalar(payload, "data", "webhook_id")
        event_id = None if event_time is None else " ".join((webhook or "", key, event_type, event_time))
        return Notification(payload=payload, events=(event,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {event_type: _sample(event_type, now) for event_type in ("asset.update", "asset.delete", "asset.create")}


def _sample(event_type: str, now: datetime) -> Sample:
    attributes = {
        "key": "rfqxtg3k8xjwnx4nqk4s79",
        "event_time": f"{now:%Y-%m-%d %H:%M:%S.%f}",
        "event_type": event_type,
        "brandfolder_key": "oqgiju-2a5ywg-8ckmpd",
        "organization_key": "oqgije-9yv5h4-1q2m2o",
    }
    return json_sample({"data": {"attributes": attributes, "webhook_id": "0f2b8d1c-6a57-4a54-9d52-6f6f2a0f7e11"}})
