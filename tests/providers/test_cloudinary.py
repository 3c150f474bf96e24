"""Cloudinary: digests, and what each notification says of which image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NOW, changed, make, problem, signed, verified

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify
from service.rules.filters import FILTERS

HOST = "https://res.cloudinary.com/demo/image/upload"
T = 1767225600  # 2026-01-01T00:00:00Z


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


def events(kind: str, cloud_name: str | None = None, **fields: Any) -> tuple[AssetEvent, ...]:
    body = json.dumps({"notification_type": kind} | fields).encode()
    return make("cloudinary", cloud_name=cloud_name).read(verified(body)).events


def told(found: tuple[AssetEvent, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(event.kind.value, event.id, event.urls) for event in found]


def test_the_digest_is_plain_and_over_body_time_and_secret() -> None:
    request = signed(make("cloudinary"))
    headers = dict(request.headers)
    message = request.body + headers["x-cld-timestamp"].encode() + b"fake-cloudinary-secret"
    assert headers["x-cld-signature"] == hashlib.sha1(message, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("sends", ["sha1", "sha256"])
@pytest.mark.parametrize("takes", [None, "sha1", "sha256"])
def test_the_length_tells_the_digest_unless_one_is_pinned(sends: str, takes: str | None) -> None:
    request = signed(make("cloudinary", signature_algorithm=sends))
    expected = "" if takes in (None, sends) else "signature_malformed"
    assert reason(make("cloudinary", signature_algorithm=takes), request) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-cld-signature": "0" * 40}, "signature_mismatch"),
        ({"x-cld-signature": "0" * 41}, "signature_malformed"),
        ({"x-cld-signature": "G" * 40}, "signature_malformed"),
        ({"x-cld-signature": ""}, "signature_missing"),
        ({"x-cld-timestamp": ""}, "signature_missing"),
        ({"x-cld-timestamp": "1.5"}, "timestamp_malformed"),
        ({"x-cld-timestamp": " 1795521600"}, "timestamp_malformed"),
    ],
)
def test_headers_that_are_refused(headers: Mapping[str, str], expected: str) -> None:
    provider = make("cloudinary")
    assert reason(provider, changed(signed(provider), headers)) == expected


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"overwritten": True}, "replaced"),
        ({"overwritten": False}, "created"),
        ({"created_at": "2026-01-01T00:00:03Z", "version": T}, "created"),
        ({"created_at": "2025-06-01T10:00:00Z", "version": T}, "updated"),
        ({"created_at": "2026-01-01T00:00:00Z", "timestamp": "2026-01-01T00:00:05+00:00"}, "created"),
        ({"created_at": "2026-01-01T00:00:00Z", "timestamp": "2026-01-01T00:00:06+00:00"}, "updated"),
        (
            {"created_at": "2026-01-01T00:00:00Z", "notification_context": {"triggered_at": "2026-01-01T00:00:01Z"}},
            "created",
        ),
        ({"version": T}, "updated"),
        ({"created_at": "2026-01-01T00:00:00Z"}, "updated"),
        ({"overwritten": "yes"}, "updated"),
    ],
)
def test_an_upload_is_new_or_an_overwrite(fields: Mapping[str, Any], kind: str) -> None:
    url = f"{HOST}/v{T}/p/hero.jpg"
    found = events("upload", public_id="p/hero", asset_id="b5e6", secure_url=url, etag="e1", **fields)
    assert told(found) == [(kind, "b5e6", (url,))]
    assert found[0].content_hash == "e1"


@pytest.mark.parametrize(
    ("cloud_name", "fields", "url"),
    [
        (None, {}, None),
        ("demo", {}, f"{HOST}/p/a%20b"),
        ("demo", {"version": T, "format": "jpg"}, f"{HOST}/v{T}/p/a%20b.jpg"),
        ("demo", {"type": "private", "version": "7"}, "https://res.cloudinary.com/demo/image/private/v7/p/a%20b"),
        (None, {"secure_url": "http://img.example.com/x.jpg"}, "http://img.example.com/x.jpg"),
        ("demo", {"secure_url": "javascript:x"}, f"{HOST}/p/a%20b"),
    ],
)
def test_the_url_is_the_given_one_or_built(cloud_name: str | None, fields: Mapping[str, Any], url: str | None) -> None:
    found = events("publish", cloud_name, public_id="p/a b", **fields)
    delivery = fields.get("type", "upload")
    assert told(found) == [("updated", f"image/{delivery}/p/a b", (url,) if url else ())]


@pytest.mark.parametrize(
    ("cloud_name", "fields", "urls", "earlier"),
    [
        (
            None,
            {"secure_url": f"{HOST}/v{T}/p/new.jpg"},
            (f"{HOST}/v{T}/p/new.jpg",),
            (f"{HOST}/v{T}/p/old.jpg", f"{HOST}/p/old.jpg"),
        ),
        ("demo", {"format": "jpg"}, (f"{HOST}/p/new.jpg",), (f"{HOST}/p/old.jpg",)),
        (None, {}, (), ()),
        (None, {"secure_url": f"{HOST}/p/renamed-on-the-way.jpg"}, (f"{HOST}/p/renamed-on-the-way.jpg",), ()),
    ],
)
def test_a_rename_gives_the_old_name_s_urls(
    cloud_name: str | None, fields: Mapping[str, Any], urls: tuple[str, ...], earlier: tuple[str, ...]
) -> None:
    (found,) = events("rename", cloud_name, from_public_id="p/old", to_public_id="p/new", asset_id="b5", **fields)
    assert (found.kind.value, found.urls, found.earlier_urls) == ("renamed", urls, earlier)


def test_one_notification_may_be_about_many() -> None:
    resources = [
        {"public_id": "a", "asset_id": "1", "version": 7, "display_name": "A"},
        {"public_id": "b", "resource_type": "video"},
        {"asset_id": "no public id"},
        "nonsense",
        {"public_id": "c", "resource_type": "image"},
    ]
    found = events("delete", resources=resources)
    assert told(found) == [("deleted", "1", ()), ("deleted", "image/upload/c", ())]
    assert (found[0].filename, found[0].content_hash) == ("A", "7")


def test_a_move_lists_its_resources_by_public_id() -> None:
    moved = {"f/a": {"from_public_id": "f/a", "to_public_id": "g/a", "asset_id": "1"}, "f/b": {"asset_id": "2"}}
    assert told(events("move", "demo", resources=moved)) == [("renamed", "1", (f"{HOST}/g/a",))]


@pytest.mark.parametrize(
    ("kind", "told_as"),
    [
        ("delete_by_token", "deleted"),
        ("restore_asset_version", "restored"),
        ("moderation", "unknown"),
        ("access_control_changed", "unknown"),
    ],
)
def test_other_kinds(kind: str, told_as: str) -> None:
    assert [event.kind.value for event in events(kind, public_id="a")] == [told_as]


@pytest.mark.parametrize("kind", ["eager", "resource_tags_changed", "create_folder", "invented"])
def test_what_changes_no_delivery_is_ignored(kind: str) -> None:
    found = make("cloudinary").read(verified(json.dumps({"notification_type": kind, "public_id": "a"}).encode()))
    assert (found.events, found.instead) == ((), Ignored(f"a {kind} notification changes no image's delivery"))


def test_a_body_without_a_type_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no notification_type"):
        make("cloudinary").read(verified(b'{"public_id": "a"}'))


def test_the_event_id_tells_the_notifications_of_one_request_apart() -> None:
    def event_id(**fields: Any) -> str | None:
        body = {"notification_type": "upload", "public_id": "a", "request_id": "r"} | fields
        return make("cloudinary").read(verified(json.dumps(body).encode())).event_id

    ids = [event_id(), event_id(public_id="b"), event_id(version=2), event_id(notification_type="delete")]
    assert len(set(ids)) == 4
    assert event_id() == ids[0]
    assert event_id(request_id=None) is None


def test_the_variants_a_site_may_use_as_src() -> None:
    """https://cloudinary.com/documentation/image_transformations: no version, `v1` of the SDKs, and the one given."""
    (found,) = events("rename", from_public_id="p/old", to_public_id="p/new", secure_url=f"{HOST}/v{T}/p/new.jpg")
    written = [line for url in found.all_urls for line in FILTERS["cloudinary_variants"](url).split("\n")]
    assert sorted(set(written)) == sorted(
        f"{HOST}/{version}p/{name}.jpg" for name in ("old", "new") for version in ("", "v1/", f"v{T}/")
    )


def test_a_cloud_name_is_part_of_a_url() -> None:
    assert problem("cloudinary", cloud_name="a/b")[0] == "cloud_name"
