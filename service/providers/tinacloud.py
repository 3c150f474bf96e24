"""TinaCloud: no signature; the paths of files that changed in a branch of a repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.credential_only import UNSIGNED_AUTH, CredentialOnly
from service.providers.image_links import names_image
from service.providers.plain_provider import delivery_id, json_sample
from service.providers.s3_records import bases_of, object_urls
from service.settings.model import Source

# https://tina.io/docs/tina-cloud/webhooks. A path that was modified is a file with other bytes.
_KINDS = {
    "content.added": AssetKind.CREATED,
    "content.modified": AssetKind.UPDATED,
    "content.removed": AssetKind.DELETED,
}


class TinaCloud(CredentialOnly):
    """https://tina.io/docs/tina-cloud/webhooks"""

    info = Info(
        name="tinacloud",
        title="TinaCloud",
        doc_url="https://tina.io/docs/tina-cloud/webhooks",
        signs="nothing: a secret header, `Authorization: Bearer …` unless `auth:` says otherwise",
        tolerance=None,
        stored_headers=frozenset({"content-type"}),
        auth=UNSIGNED_AUTH,
        options=("bases",),
        guide=Guide(
            setup=(
                "*Your project → Webhooks → Add Webhook*: URL `https://relay.example.com/hooks/NAME`, and the branch "
                "that your site is built from.",
                "Add a header `Authorization` with `Bearer ` and one of `secrets`.",
                "`bases: {public: /}` where files in the repository's folder `public` are the site's own; `{public: "
                "https://www.example.com/}` where they are loaded by their whole URL. The longest folder wins.",
            ),
            events="There are no events to choose. Every one of `paths` is an event of its own: a path with an image's "
            "extension becomes `created`, `replaced` or `deleted`; any other `created`, `updated` or `deleted`, with "
            "the path as `asset.id` and `asset.key`, for rules that know its images.",
            covered="Nothing is signed: whoever holds the credential is believed, and there is no time. A repeated "
            "delivery is known by `eventId`.",
            retries="Unknown: neither the time-out nor what counts as delivered, retries or switching off are "
            "documented; *Webhooks → Logs* shows what was answered.",
            urls="Computed for images in the repository: the base of their folder and the rest of the path. Media that "
            "Tina keeps elsewhere (Cloudinary, S3) have no events here: give those services sources of their own.",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._bases = bases_of(source)

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event_type = json_body.text(payload, "type")
        if event_type is None:
            raise Unreadable("the body has no type")
        event_id = json_body.text(payload, "eventId") or delivery_id(request, payload)
        events = tuple(self._events(event_type, payload))
        instead = None if events else Ignored(f"{event_type} names no path")
        return Notification(payload=payload, events=events, instead=instead, event_id=event_id)

    def _events(self, event_type: str, payload: dict[str, Any]) -> Iterator[AssetEvent]:
        kind = _KINDS.get(event_type, AssetKind.UNKNOWN)
        paths = dict.fromkeys(path for path in json_body.array(payload, "paths") if isinstance(path, str) and path)
        for path in paths:
            image = names_image(path)
            yield AssetEvent(
                kind=AssetKind.REPLACED if image and kind is AssetKind.UPDATED else kind,
                id=path,
                urls=self._urls(path) if image else (),
                key=path,
                filename=path.rpartition("/")[2] if image else None,
                environment=json_body.text(payload, "branch"),
            )

    def _urls(self, path: str) -> tuple[str, ...]:
        folders = (folder for folder in self._bases if path.startswith(f"{folder.strip('/')}/"))
        folder = max(folders, key=len, default="")
        return object_urls(self._bases, folder, path.removeprefix(f"{folder.strip('/')}/"))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        image, page = "public/uploads/hero.jpg", "content/posts/hello.md"
        return {
            "content.modified": _sample("content.modified", [image, page], now),
            "content.removed": _sample("content.removed", [image], now),
            "content.added": _sample("content.added", [page], now),
        }


def _sample(event_type: str, paths: list[str], now: datetime) -> Sample:
    event_id = sha256(f"{event_type} {iso(now)}".encode()).hexdigest()[:24]
    return json_sample(
        {"clientId": "2761f0a3", "branch": "main", "paths": paths, "type": event_type, "eventId": event_id}
    )
