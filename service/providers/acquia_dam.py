"""Acquia DAM (Widen): assets by their id, behind a secret URL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification, TestPing
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import CredentialOnly
from service.providers.plain_provider import delivery_id, json_sample
from service.settings.model import Auth

_PING = "ping"
_KINDS = {
    "asset_created": AssetKind.CREATED,
    "asset_version_added": AssetKind.REPLACED,
    "asset_deleted": AssetKind.DELETED,
}


class AcquiaDam(CredentialOnly):
    """https://www.drupal.org/node/3611280

    A webhook may be signed, but in which header is unknown here: whoever knows it takes `provider: hmac`.
    """

    info = Info(
        name="acquia-dam",
        title="Acquia DAM (Widen)",
        doc_url="https://www.drupal.org/node/3611280",
        signs="perhaps, in a header that is unknown here; the secret in the URL counts",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("capability", "query"),
        guide=Guide(
            setup=(
                "`image-relay url NAME` prints the secret URL (`https://relay.example.com/hooks/NAME/…`).",
                "A webhook configuration with that URL (in the DAM's administration, or `POST "
                "https://api.widencollective.com/v2/webhooks/configurations`) and the events below. Its `ping` is "
                "kept as a test.",
                "`resolve:` with the DAM's API, as the webhook has no URLs; or a rule with a template where an asset's "
                "URL follows from its id.",
            ),
            events="`asset_version_added` (→ `replaced`), `asset_deleted` (→ `deleted`), `asset_created` (→ "
            "`created`). Changed metadata is ignored: the picture stays what it is.",
            covered="Nothing is verified but the secret in the URL: the DAM can sign with HMAC, but in which header is "
            "unknown. Nothing in a delivery tells it from another one of the same kind, so that each "
            "counts, and one that is repeated is purged for twice.",
            retries="A `ping` must be answered 200. Time-out, retries and whether a webhook is switched off are "
            "unknown.",
            urls="Only the asset's id is in the payload: looked up with `resolve:`, or remembered.",
        ),
    )
    usual_auth = Auth(capability=True)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event_type, asset_id = json_body.text(payload, "event_type"), json_body.scalar(payload, "asset_id")
        event_id = delivery_id(request, payload)
        if event_type == _PING:
            return Notification(payload=payload, instead=TestPing("the DAM's ping"), event_id=event_id)
        if event_type is None:
            raise Unreadable("the body is no event of Acquia DAM: it has no event_type")
        kind = _KINDS.get(event_type)
        if kind is None or asset_id is None:
            ignored = Ignored(f"{event_type} does not tell of an asset whose file changed")
            return Notification(payload=payload, instead=ignored, event_id=event_id)
        event = AssetEvent(kind=kind, id=asset_id)
        return Notification(payload=payload, events=(event,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        """Of another asset each time, as there is no time in them."""
        asset_id = str(UUID(bytes=sha256(iso(now).encode()).digest()[:16]))
        events = ("asset_version_added", "asset_deleted", "asset_created", _PING)
        return {name: json_sample({"event_type": name, "asset_id": asset_id}) for name in events}
