"""WordPress with the WP Webhooks plugin: HMAC-SHA256 over the body; posts, and attachments, which are posts too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from service.domain.clock import iso
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Sample
from service.providers.body_signature import BodySignature
from service.providers.image_links import image_urls
from service.providers.plain_provider import delivery_id, json_sample
from service.providers.wordpress_urls import WORDPRESS_VARIANTS

_HEADER = "x-wp-webhook-"
_NAME, _URL_NAME = f"{_HEADER}name", f"{_HEADER}url-name"

# https://github.com/Ironikus/wp-webhooks (core/includes/integrations/wordpress/triggers): four tell of attachments
# too, the others are hooks of WordPress, for webhooks named after the hook they are bound to.
_KINDS = {
    "post_create": AssetKind.CREATED,
    "post_update": AssetKind.UPDATED,
    "post_trash": AssetKind.UNPUBLISHED,
    "post_delete": AssetKind.DELETED,
    "add_attachment": AssetKind.CREATED,
    "edit_attachment": AssetKind.UPDATED,
    "attachment_updated": AssetKind.UPDATED,
    "delete_attachment": AssetKind.DELETED,
}


class WordPressWpWebhooks(BodySignature):
    """https://wp-webhooks.com/docs/: without a secret the plugin signs nothing"""

    info = Info(
        name="wordpress-wp-webhooks",
        title="WordPress (WP Webhooks)",
        doc_url="https://wp-webhooks.com/docs/",
        signs="HMAC-SHA256 over the body",
        tolerance=None,
        stored_headers=frozenset({f"{_HEADER}signature", f"{_HEADER}source", _NAME, _URL_NAME, "content-type"}),
        guide=Guide(
            setup=(
                "Give the plugin a signing secret, one of `secrets`: the option `wpwhpro_trigger_secret`, or a filter "
                "on `wpwhpro/admin/webhooks/secret_key` that returns it. Without one it signs nothing.",
                "*WP Webhooks → Send Data*: add `https://relay.example.com/hooks/NAME` under **Post created**, **Post "
                "updated**, **Post trashed** and **Post deleted**; request type JSON. Choose *Attachments* among the "
                "post types for media alone.",
                "For any other hook of WordPress, use **WordPress hook** and give the webhook the hook's name "
                "(`edit_attachment`, `delete_attachment`), which tells what happened.",
            ),
            events="`post_create` becomes `created`, `post_update` `updated`, `post_trash` `unpublished`, "
            "`post_delete` `deleted`. An attachment is an image of its own, any other post is all the images it "
            "links to. What names no post (users, comments) is ignored.",
            covered="The body alone: neither the headers that say what happened nor a time. A body seen before is a "
            "duplicate if it holds the post's `post_modified_gmt`.",
            retries="Sent without waiting for the answer (time-out 60 s) and never again; the plugin does not switch "
            "a webhook off. Newer releases: unknown.",
            urls="In the payload: an attachment's `guid`, links in a post's content and its `post_thumbnail`. A hook "
            "that tells only an id gets the URLs remembered for it. WordPress makes smaller files of an upload; the "
            "variants `uploaded` and `scaled` are two of them, a rule makes others.",
        ),
    )
    variants = WORDPRESS_VARIANTS
    signature_header = f"{_HEADER}signature"

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse(request.body)
        trigger, url_name = (request.headers.get(name) or "" for name in (_NAME, _URL_NAME))
        otherwise = AssetKind.UPDATED if trigger else AssetKind.UNKNOWN
        kind = _KINDS.get(trigger) or _KINDS.get(url_name) or otherwise
        found = _asset_event(kind, trigger, payload, request.received_at)
        if isinstance(found, Ignored):
            return Notification(payload=payload, instead=found)
        dated = json_body.moment(payload, "post", "post_modified_gmt") is not None
        return Notification(payload=payload, events=(found,), event_id=None if dated else delivery_id(request, payload))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {name: _sample(name, now) for name in ("post_update", "post_delete", "post_create")}


def _asset_event(kind: AssetKind, trigger: str, payload: Any, received_at: datetime) -> AssetEvent | Ignored:
    post = json_body.obj(payload, "post")
    identity = _identity(payload, post)
    if identity is None:
        return Ignored(f"{trigger} names no post")
    mime_type = json_body.text(post, "post_mime_type")
    if mime_type is not None and not mime_type.startswith("image/"):
        return Ignored(f"about a file of type {mime_type}, not an image")
    urls = image_urls({key: value for key, value in json_body.obj(payload).items() if key != "post_before"})
    return AssetEvent(
        kind=kind,
        id=identity,
        urls=urls,
        earlier_urls=tuple(url for url in image_urls(json_body.obj(payload, "post_before")) if url not in urls),
        mime_type=mime_type,
        occurred_at=received_at if kind.gone else json_body.moment(post, "post_modified_gmt"),
    )


def _identity(payload: Any, post: dict[str, Any]) -> str | None:
    """The post's id; a hook's payload is its arguments, of which WordPress's own begin with it."""
    first = payload[0] if isinstance(payload, list) and payload else payload
    alone = str(first) if isinstance(first, int) and not isinstance(first, bool) else None
    return json_body.scalar(payload, "post_id") or json_body.scalar(post, "ID") or alone


def _sample(trigger: str, now: datetime) -> Sample:
    modified = iso(now).partition(".")[0].replace("T", " ")
    mark = sha256(modified.encode()).hexdigest()[:8]
    post = {
        "ID": 12,
        "post_type": "attachment",
        "post_status": "inherit",
        "post_modified_gmt": modified,
        "guid": f"https://wp.example.com/wp-content/uploads/2026/11/hero-{mark}.jpg",
        "post_mime_type": "image/jpeg",
    }
    headers = {f"{_HEADER}source": "https://wp.example.com/", _NAME: trigger, _URL_NAME: "relay"}
    return json_sample({"post_id": 12, "post": post}, headers)
