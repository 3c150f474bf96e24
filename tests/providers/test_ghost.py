"""Ghost: its header, and which images of a post an event is about."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from support.senders import NOW, changed, make, signed, verified

from service.domain.clock import to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.providers.verification import verify

SIGNATURE = "x-ghost-signature"
TIME = str(to_ms(NOW))
BASE = "https://blog.example.com/content/images/2026/11"
NEW, OLD, SIDE = (f"{BASE}/{name}.jpg" for name in ("new", "old", "side"))
POST = {"id": "65a5", "feature_image": NEW, "og_image": None, "html": f'<p><img class="kg-image" src="{SIDE}" alt></p>'}


def notification(name: str | None, current: Any, previous: Any, resource: str = "post") -> Notification:
    body = {resource: {"current": current, "previous": previous}} | ({"event": name} if name else {})
    return make("ghost").read(replace(verified(json.dumps(body).encode()), signed_at=NOW))


def event(name: str | None, current: Any, previous: Any, resource: str = "post") -> AssetEvent:
    (found,) = notification(name, current, previous, resource).events
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"sha256={'f' * 64}, t={TIME}", "signature_mismatch"),
        (f"sha256={'F' * 64}, t={TIME}", "signature_malformed"),
        (f"sha256={'f' * 40}, t={TIME}", "signature_malformed"),
        (f"sha1={'f' * 64}, t={TIME}", "signature_malformed"),
        (f"sha256={'f' * 64},t={TIME}", "signature_malformed"),
        (f"sha256={'f' * 64}, t=soon", "signature_malformed"),
        (f"sha256={'f' * 64}", "signature_malformed"),
        (f"sha256={'f' * 64}, t={'9' * 15}", "timestamp_malformed"),
    ],
)
def test_headers_that_are_refused(value: str, expected: str) -> None:
    provider = make("ghost")
    with pytest.raises(Refused) as refused:
        verify(provider, changed(signed(provider), {SIGNATURE: value}), NOW)
    assert refused.value.reason == expected


def test_the_time_is_signed() -> None:
    provider = make("ghost")
    request = signed(provider)
    later = dict(request.headers)[SIGNATURE].replace(TIME, str(to_ms(NOW) + 1))
    with pytest.raises(Refused, match="signature mismatch"):
        verify(provider, changed(request, {SIGNATURE: later}), NOW)


@pytest.mark.parametrize(
    ("name", "current", "previous", "expected"),
    [
        ("post.added", POST, {}, (AssetKind.CREATED, (NEW, SIDE), ())),
        ("post.published", POST, {"status": "draft"}, (AssetKind.CREATED, (NEW, SIDE), ())),
        ("post.published", POST, {"feature_image": OLD}, (AssetKind.REPLACED, (NEW, SIDE), (OLD,))),
        ("post.edited", POST, {"feature_image": OLD}, (AssetKind.REPLACED, (NEW, SIDE), (OLD,))),
        ("post.published.edited", POST, {"feature_image": None}, (AssetKind.REPLACED, (NEW, SIDE), ())),
        ("post.edited", POST, {"og_image": OLD}, (AssetKind.REPLACED, (NEW, SIDE), (OLD,))),
        ("post.edited", POST, {"twitter_image": SIDE}, (AssetKind.REPLACED, (NEW, SIDE), ())),
        ("post.edited", POST, {"html": f'<img src="{OLD}">'}, (AssetKind.REPLACED, (NEW, SIDE), (OLD,))),
        ("post.invented", POST, {"feature_image": OLD}, (AssetKind.REPLACED, (NEW, SIDE), (OLD,))),
        ("post.unpublished", POST, {"status": "published"}, (AssetKind.UNPUBLISHED, (NEW, SIDE), ())),
        ("post.unpublished", POST, {"feature_image": OLD}, (AssetKind.UNPUBLISHED, (NEW, SIDE), (OLD,))),
        ("post.deleted", {}, POST, (AssetKind.DELETED, (), (NEW, SIDE))),
        (None, {}, POST, (AssetKind.DELETED, (), (NEW, SIDE))),
        (None, POST, {"feature_image": OLD}, (AssetKind.REPLACED, (NEW, SIDE), (OLD,))),
    ],
)
def test_events(
    name: str | None, current: Any, previous: Any, expected: tuple[AssetKind, tuple[str, ...], tuple[str, ...]]
) -> None:
    found = event(name, current, previous)
    assert (found.kind, found.urls, found.earlier_urls) == expected
    assert found.id == "65a5"


@pytest.mark.parametrize("name", ["post.edited", "post.scheduled", "post.tag.attached", None])
@pytest.mark.parametrize("previous", [{}, {"title": "Helo"}, {"html": f'<b>new text</b><img src="{SIDE}">'}])
def test_an_edit_of_other_things_is_not_about_images(name: str | None, previous: Any) -> None:
    found = notification(name, POST, previous)
    assert (found.instead, found.events) == (Ignored("no image of the post changed"), ())


@pytest.mark.parametrize("resource", ["page", "tag"])
def test_pages_and_tags_are_like_posts(resource: str) -> None:
    found = event(f"{resource}.edited", {"id": "t1", "feature_image": NEW}, {"feature_image": OLD}, resource)
    assert (found.kind, found.id, found.all_urls) == (AssetKind.REPLACED, "t1", (NEW, OLD))


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        (f'<img src="{NEW}" srcset="{OLD} 600w"><img alt="a" src="{SIDE}?a=1&amp;b=2">', (NEW, f"{SIDE}?a=1&b=2")),
        (f'<IMG SRC="{NEW}"><img data-src="{NEW}"><image src="{NEW}"><img src="/relative.jpg"><img src="', ()),
        ("<img " * 50_000, ()),
    ],
)
def test_images_in_the_text(html: str, urls: tuple[str, ...]) -> None:
    assert event("post.added", {"id": "1", "html": html}, {}).urls == urls


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"event": "site.changed"}, "site.changed is about no post, page or tag"),
        ({"event": "member.added", "member": {"current": {"id": "m1"}}}, "member.added is about no post, page or tag"),
        ({"post": {}}, "None is about no post, page or tag"),
    ],
)
def test_what_is_not_about_a_post(body: Any, why: str) -> None:
    found = make("ghost").read(verified(json.dumps(body).encode()))
    assert (found.instead, found.events) == (Ignored(why), ())


def test_a_post_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the post has no id"):
        event("post.edited", {"feature_image": NEW}, {"feature_image": OLD})


@pytest.mark.parametrize(("name", "seconds"), [("post.published", -60), ("post.unpublished", 0)])
def test_a_post_that_is_gone_was_updated_before(name: str, seconds: float) -> None:
    found = event(name, POST | {"updated_at": (NOW - timedelta(seconds=60)).isoformat()}, {})
    assert found.occurred_at == NOW + timedelta(seconds=seconds)
