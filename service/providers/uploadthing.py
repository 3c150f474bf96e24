"""UploadThing: HMAC-SHA256 over the body; uploads that are finished."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import HexBodySignature
from service.providers.delivery_urls import delivery_urls
from service.providers.plain_provider import json_sample

_SIGNATURE = "x-uploadthing-signature"
_HOOK = "uploadthing-hook"
# The newest first; the others are deprecated: https://docs.uploadthing.com/working-with-files
_URLS = ("ufsUrl", "appUrl", "url")


class UploadThing(HexBodySignature):
    """https://www.npmjs.com/package/uploadthing (`createRouteHandler`)

    The callback is meant for the site's own file router: it belongs to one upload, and the router answers UploadThing
    at `origin`. So it is passed on to the relay by the site, as it came.
    """

    signature_header = _SIGNATURE
    signature_prefix = "hmac-sha256="
    scheme = "sha256"
    info = Info(
        name="uploadthing",
        title="UploadThing",
        doc_url="https://docs.uploadthing.com/api-reference/server",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        stored_headers=frozenset({_SIGNATURE, _HOOK, "content-type"}),
        guide=Guide(
            setup=(
                "UploadThing calls your own route handler alone, which has to report the result back to it: there is "
                "no webhook to point at the relay.",
                "In the route handler, before `createRouteHandler`'s POST sees the request: where the header "
                "`uploadthing-hook` is `callback`, send `await request.clone().text()` with the headers "
                "`uploadthing-hook` and `x-uploadthing-signature` to `https://relay.example.com/hooks/NAME`.",
                "`secrets`: the `apiKey` (`sk_live_…`) inside your `UPLOADTHING_TOKEN`, which is base64 of JSON.",
            ),
            events="`callback` (→ `created`): a file's upload is finished. `error` is ignored. Every upload has a key "
            "of its own, so that nothing is ever replaced, and deletions are not told of.",
            covered="The whole body; no time, and no header. A repeated delivery is known by the file's key.",
            retries="Those of your own handler: UploadThing's are its affair. Time-out and retries are unknown.",
            urls="In the payload: `ufsUrl`, and the deprecated `appUrl` and `url` that older sites still use.",
        ),
    )

    def read(self, request: Verified) -> Notification:
        """The body says by `status` what the unsigned header says too."""
        payload = json_body.parse_object(request.body)
        found = _asset_event(payload)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        return Notification(payload=payload, events=(found,), event_id=f"uploaded {found.id}")

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"uploaded": _sample(now)}


def _asset_event(payload: dict[str, Any]) -> AssetEvent | Ignored:
    status = json_body.text(payload, "status")
    if status != "uploaded":
        return Ignored(f"the status {status} is not that of a finished upload")
    file = json_body.obj(payload, "file")
    key = json_body.text(file, "key")
    if key is None:
        raise Unreadable("the file has no key")
    mime_type = json_body.text(file, "type")
    if mime_type is not None and not mime_type.startswith("image/"):
        return Ignored(f"about a file of type {mime_type}, not an image")
    return AssetEvent(
        kind=AssetKind.CREATED,
        id=key,
        urls=delivery_urls(file, *_URLS),
        filename=json_body.text(file, "name"),
        mime_type=mime_type,
        content_hash=json_body.text(file, "fileHash"),
    )


def _sample(now: datetime) -> Sample:
    key = f"{UUID(int=to_ms(now) << 64 | 0x4000_8000_0000_0000_0001)}_hero.jpg"
    file = {
        "name": "hero.jpg",
        "size": 1234,
        "type": "image/jpeg",
        "lastModified": to_ms(now),
        "customId": None,
        "key": key,
        "url": f"https://utfs.io/f/{key}",
        "appUrl": f"https://utfs.io/a/appid/{key}",
        "ufsUrl": f"https://appid.ufs.sh/f/{key}",
        "fileHash": "d41d8cd98f00b204e9800998ecf8427e",
    }
    body = {"status": "uploaded", "metadata": {}, "file": file, "origin": "https://sea1.ingest.uploadthing.com"}
    return json_sample(body, {_HOOK: "callback"})
