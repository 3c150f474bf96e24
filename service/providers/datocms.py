"""DatoCMS: no signature; events of the media area."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import md5
from typing import Any

from service.domain.clock import iso, to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.delivery_urls import delivery_host, delivery_urls
from service.providers.plain_provider import delivery_id, json_sample
from service.settings.model import Source

# https://www.datocms.com/docs/general-concepts/webhooks. An update is a new text as often as a new file: a file that
# was replaced has another md5.
_KINDS = {"create": AssetKind.CREATED, "update": AssetKind.UPDATED, "delete": AssetKind.DELETED}


class DatoCms(CredentialOnly):
    """https://www.datocms.com/docs/general-concepts/webhooks"""

    info = Info(
        name="datocms",
        title="DatoCMS",
        doc_url="https://www.datocms.com/docs/general-concepts/webhooks",
        signs="nothing: HTTP Basic or a header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        options=("cdn_host",),
        guide=Guide(
            setup=(
                "*Project settings → Webhooks → Add a new webhook*: URL `https://relay.example.com/hooks/NAME`; leave "
                "the payload as it is.",
                "Either **HTTP basic auth** (`auth: {basic: USER}`, the password is one of `secrets`), or a **custom "
                "header** `Authorization` with `Bearer ` and one of `secrets`.",
                "Trigger: entity **Upload**, all events. Turn **automatic retries** on.",
                "Where editors replace files and *keep the original URL*, set `settle: 600`: for 5 to 10 minutes "
                "DatoCMS may still serve the old file, and a purge before that fetches it again. Nothing in the "
                "payload tells the two ways apart.",
            ),
            events="Uploads alone: `create` becomes `created`, `update` `updated` (`replaced` where the file's MD5 or "
            "URL is another than the one remembered), `delete` `deleted`. Records, and whatever is no image, are "
            "ignored.",
            covered="Nothing is signed: whoever holds the credential is believed, body, time and all. A repeated "
            "delivery is known by `webhook_call_id`.",
            retries="An answer is due within 8 s, any 2xx counts. Retries have to be switched on: seven, after 2, 6 "
            "and 30 minutes, 1 and 5 hours, 1 and 2 days, each with the webhook's newest settings. That DatoCMS ever "
            "switches a webhook off is not documented.",
            urls="In the payload, at `www.datocms-assets.com` or at `cdn_host` where the site loads from a domain of "
            "its own. Sites mostly add a query (`?auto=format&w=800`): a rule with `{{ url | with_query(…) }}` names "
            "those. With *create new URL* the old one is the one remembered.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._host = delivery_host(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        entity_type = json_body.text(payload, "entity_type")
        if entity_type is None:
            raise Unreadable("the body names no entity_type: has the webhook a payload of its own?")
        event_id = json_body.scalar(payload, "webhook_call_id") or delivery_id(request, payload)
        found = self._asset_event(payload) if entity_type == "upload" else Ignored(f"{entity_type} is no upload")
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    def _asset_event(self, payload: dict[str, Any]) -> AssetEvent | Ignored:
        identity = json_body.scalar(payload, "entity", "id")
        if identity is None:
            raise Unreadable("the upload has no id")
        upload = json_body.obj(payload, "entity", "attributes")
        mime_type = json_body.text(upload, "mime_type")
        if mime_type is not None and not mime_type.startswith("image/"):
            return Ignored(f"about a file of type {mime_type}, not an image")
        return AssetEvent(
            kind=_KINDS.get(json_body.text(payload, "event_type") or "", AssetKind.UNKNOWN),
            id=identity,
            urls=delivery_urls(upload, "url", host=self._host),
            filename=json_body.text(upload, "filename"),
            mime_type=mime_type,
            environment=json_body.text(payload, "environment"),
            occurred_at=json_body.moment(payload, "event_triggered_at"),
            content_hash=json_body.text(upload, "md5"),
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {f"upload.{name}": _sample(name, now) for name in ("update", "delete", "create")}


def _sample(event_type: str, now: datetime) -> Sample:
    path = f"/205/{to_ms(now) // 1000}-hero.jpg"
    attributes = {
        "url": f"https://www.datocms-assets.com{path}",
        "path": path,
        "filename": "hero.jpg",
        "basename": "hero",
        "format": "jpg",
        "mime_type": "image/jpeg",
        "md5": md5(path.encode(), usedforsecurity=False).hexdigest(),
        "width": 1600,
        "height": 900,
    }
    return json_sample(
        {
            "webhook_call_id": str(to_ms(now)),
            "event_triggered_at": iso(now),
            "attempted_auto_retries_count": 0,
            "webhook_id": "16301",
            "site_id": "205",
            "environment": "main",
            "is_environment_primary": True,
            "entity_type": "upload",
            "event_type": event_type,
            "entity": {"id": "FXA3cNH9QZGEV6GKTxYAAg", "type": "upload", "attributes": attributes},
            "related_entities": [],
        }
    )
