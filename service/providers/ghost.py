"""Ghost: HMAC-SHA256 over body and time; posts, pages and tags with the images they show and those they showed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from html import unescape
from typing import Any

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, refuse_stale
from service.providers.signatures import from_hex, hmac_sha256, matches_any, unix_time

_SIGNATURE = "x-ghost-signature"
_HEADER = re.compile(r"sha256=([0-9a-f]{64}), t=([0-9]{1,15})")

_RESOURCES = ("post", "page", "tag")
_FIELDS = ("feature_image", "og_image", "twitter_image", "html")
_IMAGE = re.compile(r'<img\b[^<>]{0,4096}?\ssrc="([^"<>]{1,4096})"')  # Ghost's renderer writes no other quotes

# https://docs.ghost.org/webhooks. The name's last part; an event of any other changes images only where it says so.
_KINDS = {
    "added": AssetKind.CREATED,
    "published": AssetKind.CREATED,
    "unpublished": AssetKind.UNPUBLISHED,
    "deleted": AssetKind.DELETED,
}


_UPLOAD = re.compile(r"(https?://[^/?#]+(?:/[^?#]*)?/content/images)/(?!size/)([^?#]+)")
_WIDTHS = (600, 1000, 1600, 2400)  # `contentImageSizes` of Ghost's own configuration; a theme may have others


def _sizes(url: str) -> Iterator[str]:
    """https://github.com/TryGhost/Koenig (`srcset-attribute`); the `sizes` of a theme are up to a rule's template."""
    if found := _UPLOAD.fullmatch(url):
        yield from (f"{found[1]}/size/w{width}/{found[2]}" for width in _WIDTHS)


_VARIANTS = {"sizes": Variant("the smaller files that Ghost makes for `srcset`", _sizes)}


class Ghost(Provider):
    """https://www.npmjs.com/package/ghost (`webhook-trigger.js`): without a secret Ghost signs nothing"""

    info = Info(
        name="ghost",
        title="Ghost",
        doc_url="https://docs.ghost.org/webhooks",
        signs="HMAC-SHA256 over body and time",
        tolerance=300,
        stored_headers=frozenset({_SIGNATURE, "content-type", "content-version"}),
        guide=Guide(
            setup=(
                "*Settings → Integrations → Add custom integration*, then *Add webhook*, one for each event.",
                "Target URL `https://relay.example.com/hooks/NAME`; events **Post published**, **Published post "
                "updated**, **Post unpublished**, **Post deleted**, and the same of pages and tags.",
                "Secret: the same for all, one of `secrets`. Without one Ghost signs nothing and is refused.",
            ),
            events="An update whose images differ becomes `replaced`, one whose images stay is ignored; `published` "
            "and `added` become `created`, `unpublished` and `deleted` are what they say. Members and "
            "`site.changed` are ignored.",
            covered="The body and the time. There is no id of the event.",
            retries="An answer is due within 2 s; 2xx counts. Whether Ghost tries again is unknown: its client is "
            "set to five retries, and its usual ones leave POST out. A **410 deletes the webhook**; the relay never "
            "answers one.",
            urls="In the payload: feature image, social images and those of the HTML, now and before. No file is "
            "ever overwritten, so the old URLs are the ones to purge. Variant: `sizes` "
            "(`/content/images/size/w600/…` and its like).",
        ),
    )
    variants = _VARIANTS

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        found = _HEADER.fullmatch(request.required(_SIGNATURE))
        if found is None:
            raise Refused("signature_malformed", f"{_SIGNATURE} is not sha256=…, t=…")
        given, timestamp = found.groups()
        signed_at = unix_time(timestamp, "ms")
        if not matches_any([from_hex(given, lengths=[32])], self._signatures(request.body, timestamp)):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic("ghost-v1", signed_at)

    def _signatures(self, body: bytes, timestamp: str) -> list[bytes]:
        return [hmac_sha256(secret.encode(), body + timestamp.encode()) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        timestamp = str(to_ms(now))
        signature = self._signatures(sample.body, timestamp)[0].hex()
        return Sample(sample.body, {**sample.headers, _SIGNATURE: f"sha256={signature}, t={timestamp}"})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        resource = next((name for name in _RESOURCES if json_body.obj(payload, name)), None)
        if resource is None:
            event_name = json_body.text(payload, "event")
            return Notification(payload=payload, instead=Ignored(f"{event_name} is about no post, page or tag"))
        found = _asset_event(resource, payload, request.signed_at)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        return Notification(payload=payload, events=(found,))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        old, new = (_sample_image(f"{name} {iso(now)}") for name in ("old", "new"))
        post = {"id": "65a5c1f0e1b2c3d4e5f60718", "title": "Hello", "updated_at": iso(now), "feature_image": new}
        return {
            "post.published.edited": _sample("post.published.edited", post, {"feature_image": old}),
            "post.unpublished": _sample("post.unpublished", post, {"status": "published"}),
            "post.deleted": _sample("post.deleted", {}, post),
        }


def _asset_event(resource: str, payload: dict[str, Any], signed_at: datetime | None) -> AssetEvent | Ignored:
    """One post with all its images: uploads have no webhooks, and no file is ever overwritten."""
    current, previous = (json_body.obj(payload, resource, name) for name in ("current", "previous"))
    asset_id = json_body.text(current, "id") or json_body.text(previous, "id")
    if asset_id is None:
        raise Unreadable(f"the {resource} has no id")
    kind = _kind(json_body.text(payload, "event"), current)
    if not kind.gone and _images_differ(current, previous):
        kind = AssetKind.REPLACED
    if kind is AssetKind.UPDATED:
        return Ignored(f"no image of the {resource} changed")
    urls, earlier = _image_urls(current), _image_urls(previous)
    updated_at = json_body.moment(current, "updated_at")
    return AssetEvent(
        kind=kind,
        id=asset_id,
        urls=urls,
        earlier_urls=tuple(url for url in earlier if url not in urls),
        occurred_at=(signed_at or updated_at) if kind.gone else (updated_at or signed_at),
    )


def _kind(event_name: str | None, current: dict[str, Any]) -> AssetKind:
    """Older releases do not name the event in the body; what was deleted has nothing current."""
    if event_name is None:
        return AssetKind.UPDATED if current else AssetKind.DELETED
    return _KINDS.get(event_name.rpartition(".")[2], AssetKind.UPDATED)


def _images_differ(current: dict[str, Any], previous: dict[str, Any]) -> bool:
    """Whether a field that changed, which are those `previous` has, shows other images now."""
    return any(
        set(_images_of(current, field)) != set(_images_of(previous, field)) for field in _FIELDS if field in previous
    )


def _image_urls(post: dict[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(url for field in _FIELDS for url in _images_of(post, field)))


def _images_of(post: dict[str, Any], field: str) -> Iterator[str]:
    value = json_body.text(post, field) or ""
    given = (unescape(found[1]) for found in _IMAGE.finditer(value)) if field == "html" else [value]
    return (url for url in given if json_body.is_url(url))


def _sample_image(seed: str) -> str:
    return f"https://blog.example.com/content/images/2026/11/hero-{sha256(seed.encode()).hexdigest()[:8]}.jpg"


def _sample(event_name: str, current: dict[str, Any], previous: dict[str, Any]) -> Sample:
    body = {"event": event_name, "post": {"current": current, "previous": previous}}
    return Sample(msgspec.json.encode(body), {"content-type": "application/json", "content-version": "v6.65"})
