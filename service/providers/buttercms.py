"""ButterCMS: no signature; files of the media library, and content by its id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.image_links import image_urls
from service.providers.plain_provider import delivery_id, json_sample

_CDN = ("https://cdn.buttercms.com/",)  # `cdn.buttercms.com/<handle>` has no extension
_MEDIA = "media"

# https://buttercms.com/docs/build-your-app/webhooks-events/webhook-event-types. `media.updated` is sent when the file
# was edited, replaced or restored, and for nothing else.
_KINDS = {
    f"{_MEDIA}.updated": AssetKind.REPLACED,
    "published": AssetKind.UPDATED,
    "unpublished": AssetKind.UNPUBLISHED,
    "delete": AssetKind.DELETED,
}


class ButterCms(CredentialOnly):
    """https://buttercms.com/docs/build-your-app/webhooks-events/configuring-and-receiving-webhooks"""

    info = Info(
        name="buttercms",
        title="ButterCMS",
        doc_url="https://buttercms.com/docs/api-reference/media-events/media-updated",
        signs="nothing: a secret header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        guide=Guide(
            setup=(
                "*Settings → Webhooks → Add Webhook*: URL `https://relay.example.com/hooks/NAME`. Where the menu has "
                "no webhooks, ButterCMS has to enable them for the account.",
                "Add a header `Authorization` with `Bearer ` and one of `secrets`.",
                "Choose the event `media.updated`.",
            ),
            events="`media.updated` becomes `replaced`: a file was edited, replaced or restored under its URL. Editing "
            "an image from within content makes a new file and no event. Pages, posts and collection items become "
            "`updated` (published), `unpublished` or `deleted` events of `page/ID` and the like, for rules that know "
            "their images; drafts and videos are ignored.",
            covered="Nothing is signed: whoever holds the credential is believed. There is no id of the event, so "
            "every delivery counts.",
            retries="An answer is due within 5 s, any 2xx counts. ButterCMS's documentation says that nothing is sent "
            "again by itself; whether a webhook is ever switched off is unknown.",
            urls="In the payload of media events: `cdn_url`, which stays. Events of content carry ids alone.",
        ),
    )

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event = json_body.text(payload, "webhook", "event")
        if event is None:
            raise Unreadable("the body names no webhook.event")
        event_id = delivery_id(request, payload)
        found = _asset_event(event, json_body.obj(payload, "data"))
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found, event_id=event_id)
        return Notification(payload=payload, events=(found,), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        tick = to_ms(now) // 1000  # nothing in these bodies tells the time
        file = {"media_id": 12345, "filename": "hero.jpg", "size": tick, "cdn_url": f"{_CDN[0]}3JqNbtQ5R0m3JpWFAvbW"}
        post = {"id": "announcing-new-features", "_id": tick}
        return {
            "media.updated": _sample("media.updated", file),
            "post.published": _sample("post.published", post),
            "post.delete": _sample("post.delete", post),
        }


def _asset_event(event: str, data: dict[str, Any]) -> AssetEvent | Ignored:
    resource, _, action = event.partition(".")
    if action == "draft":
        return Ignored(f"{event} changes nothing that is public")
    if "video" in action:
        return Ignored(f"{event} is about a video, not an image")
    urls = image_urls(data, _CDN)
    # For media, `id` and `media_id` are documented for videos alone; the URL of a file stays, and so names it too.
    identity = next((found for key in ("media_id", "id") if (found := json_body.scalar(data, key))), None)
    if identity is None and not urls:
        raise Unreadable(f"the data of {event} has neither an id nor a URL")
    return AssetEvent(
        kind=_KINDS.get(event if resource == _MEDIA else action, AssetKind.UNKNOWN),
        id=f"{resource}/{identity or urls[0]}",
        urls=urls,
        filename=json_body.text(data, "filename"),
        locale=json_body.text(data, "locale"),
        occurred_at=json_body.moment(data, "updated") or json_body.moment(data, "timestamp"),
    )


def _sample(event: str, data: dict[str, Any]) -> Sample:
    return json_sample({"data": data, "webhook": {"event": event, "target": "https://relay.example.com/hooks/butter"}})
