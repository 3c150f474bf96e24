"""WP Webhooks: the plugin's own signatures, attachments, posts, and whatever a hook of WordPress is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import NAME, NOW, changed, make, secrets, signed, verified
from support.vectors import agrees, cases, verdict

from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.providers.registry import build
from service.settings.model import Source

TRIGGER, URL_NAME = "x-wp-webhook-name", "x-wp-webhook-url-name"
HERO, SIDE, OLD = (f"https://wp.example/wp-content/uploads/2026/11/{name}.jpg" for name in ("hero", "side", "old"))
MODIFIED = "2026-10-14 17:46:40"
POST = {
    "ID": 12,
    "post_type": "attachment",
    "guid": HERO,
    "post_mime_type": "image/jpeg",
    "post_modified_gmt": MODIFIED,
}


def notification(body: Any, trigger: str = "post_update", url_name: str = "relay") -> Notification:
    headers = {TRIGGER: trigger, URL_NAME: url_name}
    return make("wordpress-wp-webhooks").read(verified(json.dumps(body).encode(), headers))


def event(body: Any, trigger: str = "post_update", url_name: str = "relay") -> AssetEvent:
    (found,) = notification(body, trigger, url_name).events
    return found


@pytest.mark.parametrize("case", cases("wordpress-wp-webhooks-plugin"))
def test_vectors(case: Mapping[str, Any]) -> None:
    provider = build(NAME, Source(provider="wordpress-wp-webhooks", secrets=secrets(case["secret"])))
    assert agrees(said := verdict(provider, case, NOW), case), said


@pytest.mark.parametrize("value", ["", "x", "A" * 43 + "=", "f" * 64])
def test_signatures_that_are_refused(value: str) -> None:
    provider = make("wordpress-wp-webhooks")
    request = changed(signed(provider), {"x-wp-webhook-signature": value})
    case = {"method": "POST", "path": request.path, "headers": dict(request.headers), "body": request.body.decode()}
    assert verdict(provider, case, NOW).startswith("signature_")


@pytest.mark.parametrize(
    ("trigger", "url_name", "kind"),
    [
        ("post_create", "relay", AssetKind.CREATED),
        ("post_update", "delete_attachment", AssetKind.UPDATED),
        ("post_trash", "relay", AssetKind.UNPUBLISHED),
        ("post_delete", "relay", AssetKind.DELETED),
        ("wordpress_hook", "delete_attachment", AssetKind.DELETED),
        ("wordpress_hook", "add_attachment", AssetKind.CREATED),
        ("wordpress_hook", "wp_update_attachment_metadata", AssetKind.UPDATED),
        ("", "", AssetKind.UNKNOWN),
    ],
)
def test_kinds(trigger: str, url_name: str, kind: AssetKind) -> None:
    found = event({"post_id": 12, "post": POST}, trigger, url_name)
    assert (found.kind, found.id, found.urls, found.mime_type) == (kind, "12", (HERO,), "image/jpeg")
    assert found.occurred_at == (NOW if kind.gone else datetime(2026, 10, 14, 17, 46, 40, tzinfo=UTC))


def test_a_post_with_its_images_and_those_before() -> None:
    post = {"ID": 7, "post_content": f'<p><img src="{HERO}" alt=""></p>', "post_mime_type": ""}
    before = {"ID": 7, "post_content": f'<img src="{OLD}"><img src="{HERO}">'}
    found = event({"post_id": "7", "post": post, "post_before": before, "post_thumbnail": SIDE})
    assert (found.id, found.urls, found.earlier_urls) == ("7", (HERO, SIDE), (OLD,))
    assert (found.mime_type, found.occurred_at) == (None, None)


@pytest.mark.parametrize("body", [[12, {"url": HERO}], [12], 12, {"ID": 3, "post": {"ID": 12}}, {"post_id": 12}])
def test_a_hook_tells_at_least_the_id(body: Any) -> None:
    found = event(body, "wordpress_hook", "edit_attachment")
    assert (found.kind, found.id, found.urls) == (AssetKind.UPDATED, "12", ())


@pytest.mark.parametrize("body", [{}, [], [True], "12", None, {"user_id": 5}, [[12]], {"post_id": {}}])
def test_what_names_no_post(body: Any) -> None:
    found = notification(body, "create_user")
    assert (found.instead, found.events) == (Ignored("create_user names no post"), ())


def test_other_files() -> None:
    found = notification({"post_id": 12, "post": POST | {"post_mime_type": "application/pdf"}})
    assert found.instead == Ignored("about a file of type application/pdf, not an image")


def test_a_body_without_a_time_may_come_again() -> None:
    dated, undated = {"post_id": 12, "post": POST}, {"post_id": 12}
    assert notification(dated).event_id is None
    assert notification(undated).event_id is not None
