"""Optimizely's Content Marketing Platform: a secret in a header; assets of its library, by their id alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import CredentialOnly
from service.providers.plain_provider import delivery_id, json_sample
from service.settings.model import Auth, Source

_SECRET = "Callback-Secret"  # noqa: S105 - the name of the header, not a secret

# https://docs.developers.optimizely.com/content-marketing-platform/docs/library-events, and its page of publishing
# events. An asset that was modified may have another file, or another title.
_KINDS = {
    "asset_added": AssetKind.CREATED,
    "asset_modified": AssetKind.UPDATED,
    "asset_renditions_created": AssetKind.UPDATED,
    "asset_removed": AssetKind.DELETED,
    "asset_published": AssetKind.UPDATED,
    "asset_synced": AssetKind.UPDATED,
    "asset_unpublished": AssetKind.UNPUBLISHED,
}


class OptimizelyCmp(CredentialOnly):
    """https://docs.developers.optimizely.com/content-marketing-platform/docs/get-started"""

    info = Info(
        name="optimizely-cmp",
        title="Optimizely CMP",
        doc_url="https://docs.developers.optimizely.com/content-marketing-platform/docs/get-started",
        signs="nothing: the webhook's secret comes in the header `Callback-Secret`",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=("header", "capability"),
        guide=Guide(
            setup=(
                "Register a webhook in CMP: callback URL `https://relay.example.com/hooks/NAME`, the events below.",
                "Its **secret**, at most 32 characters, is one of `secrets`. CMP lets you leave it out; the relay does "
                "not.",
                'The event has an id and no image URL: map ids with `lookup("table.csv")` in a rule, or have the '
                "asset found with `resolve:`.",
            ),
            events="`asset_modified` and `asset_renditions_created` (→ `updated`), `asset_removed` (→ `deleted`), "
            "`asset_added` (→ `created`); where assets are published to channels, `asset_published`, `asset_synced` "
            "(→ `updated`) and `asset_unpublished`. Articles, videos and raw files are ignored.",
            covered="Nothing is signed, body and time included: whoever holds the secret is believed.",
            retries="An answer is due within 30 s; 200 and 202 count and nothing else does. Anything else is sent "
            "again with growing pauses for up to three days. Events may come twice and in any order. Whether a "
            "webhook is ever switched off is unknown.",
            urls="None in the payload: `data.asset.links.self` leads to CMP's API and takes its token. Use the table, "
            "`resolve:`, or what was remembered.",
        ),
    )

    @classmethod
    def completed(cls, source: Source) -> Source:
        return source if source.auth is not None or source.unverified else replace(source, auth=Auth(header=_SECRET))

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload)
        event_id = delivery_id(request, payload)  # there is neither an id nor a time: each delivery counts
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {name: _sample(name, now) for name in ("asset_modified", "asset_removed", "asset_added")}


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    event_name = json_body.text(payload, "event_name")
    if event_name is None:
        raise Unreadable("the body has no event_name")
    kind = _KINDS.get(event_name)
    if kind is None:
        return Ignored(f"{event_name} is not about an asset of the library")
    asset_id, asset_type = (json_body.text(payload, "data", "asset", key) for key in ("id", "type"))
    if asset_id is None:
        raise Unreadable("the asset has no data.asset.id")
    if asset_type not in (None, "image"):
        return Ignored(f"about an asset of type {asset_type}, not an image")
    return AssetEvent(kind=kind, id=asset_id)


def _sample(event_name: str, now: datetime) -> Sample:
    asset_id = f"{to_ms(now):032x}"
    links = {"self": f"https://api.cmp.optimizely.com/v3/images/{asset_id}"}
    asset = {"id": asset_id, "owner_organization_id": "5a1b2c3d", "type": "image", "links": links}
    return json_sample({"event_name": event_name, "data": {"asset": asset}})
