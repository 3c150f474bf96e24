"""Craft CMS with its Webhooks plugin: no signature; assets that were saved, replaced or deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.delivery_urls import absolute, site_base
from service.providers.plain_provider import delivery_id, json_sample
from service.settings.model import Source

_ELEMENT, _SERVICE = "craft\\elements\\Asset", "craft\\services\\Assets"
# The events that a webhook may be bound to, by Craft's names for them:
# https://github.com/craftcms/webhooks
_KINDS = {
    "afterSave": AssetKind.UPDATED,
    "afterDelete": AssetKind.DELETED,
    "afterRestore": AssetKind.RESTORED,
    "afterReplaceAsset": AssetKind.REPLACED,
}


class Craft(CredentialOnly):
    """https://github.com/craftcms/webhooks"""

    info = Info(
        name="craft",
        title="Craft CMS (Webhooks plugin)",
        doc_url="https://github.com/craftcms/webhooks",
        signs="nothing: a secret header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        options=("bases",),
        guide=Guide(
            setup=(
                "Install the **Webhooks** plugin, then *Settings → Webhooks → New webhook*: sender class "
                "`craft\\elements\\Asset`, event `afterSave`; a second one with `afterDelete`, and one with "
                "`craft\\services\\Assets` and `afterReplaceAsset`. Method POST, URL "
                "`https://relay.example.com/hooks/NAME`.",
                "A custom header: `Authorization: Bearer $RELAY_SECRET`, with the value in Craft's `.env` and in "
                "`secrets`.",
                "**Extra Sender Attributes**: `url` and `mimeType`, a line each; for `afterReplaceAsset` **Extra Event "
                "Attributes**: `asset.url` and `asset.mimeType`. Craft sends neither by itself.",
                "`bases: {site: https://www.example.com/}` where a volume's URLs are relative.",
            ),
            events="`afterSave` (→ `created` for a new asset, else `updated`), `afterReplaceAsset` (→ `replaced`), "
            "`afterDelete`, `afterRestore`. Anything that is no asset, or no image, is ignored.",
            covered="Nothing is signed: whoever holds the secret is believed, time and all.",
            retries="Sent from Craft's queue: any 2xx counts. One attempt by default; raise `maxAttempts` (they come "
            "`retryDelay`, 60 s, apart). With a debounce key only the last of several is sent. The time-out is "
            "unknown; the plugin does not switch a webhook off as far as is known.",
            urls="In the payload, as the extra attributes put it there. A replacement may change the file's name: the "
            "former URL is remembered.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._base = site_base(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = self._asset_event(payload)
        event_id = delivery_id(request, {"timestamp": json_body.text(payload, "time")})
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    def _asset_event(self, payload: dict[str, Any]) -> AssetEvent | Ignored:
        """Craft's own payload, or one that a template made after it."""
        sender_class, event_name = (json_body.text(payload, key) for key in ("senderClass", "name"))
        if sender_class not in (None, _ELEMENT, _SERVICE):
            return Ignored(f"{sender_class} is not about an asset")
        asset = json_body.obj(payload, "event", "asset") or json_body.obj(payload, "sender")
        asset_id = json_body.scalar(asset, "id") or json_body.text(asset, "uid")
        if asset_id is None:
            raise Unreadable("the asset has neither id nor uid")
        mime_type, file_kind = (json_body.text(asset, key) for key in ("mimeType", "kind"))
        if file_kind not in (None, "image") or not (mime_type or "image/").startswith("image/"):
            return Ignored(f"about a file of type {mime_type or file_kind}, not an image")
        is_new = payload.get("isNew") is True or json_body.dig(payload, "event", "isNew") is True
        kind = _KINDS.get(event_name or "", AssetKind.UNKNOWN)
        url = json_body.text(asset, "url")
        return AssetEvent(
            kind=AssetKind.CREATED if is_new and kind is AssetKind.UPDATED else kind,
            id=asset_id,
            urls=(absolute(url, self._base),) if url is not None else (),
            filename=json_body.text(asset, "filename"),
            mime_type=mime_type,
            occurred_at=json_body.moment(payload, "time"),
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {
            "afterReplaceAsset": _sample("afterReplaceAsset", _SERVICE, now),
            "afterSave": _sample("afterSave", _ELEMENT, now),
            "afterDelete": _sample("afterDelete", _ELEMENT, now),
        }


def _sample(event_name: str, sender_class: str, now: datetime) -> Sample:
    asset = {
        "id": 42,
        "url": "https://www.example.com/uploads/hero.jpg",
        "filename": "hero.jpg",
        "mimeType": "image/jpeg",
    }
    return json_sample(
        {"time": iso(now), "name": event_name, "senderClass": sender_class, "isNew": False, "sender": asset}
    )
