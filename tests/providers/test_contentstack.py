"""Contentstack: two ways to sign, one stack among many, and what its webhooks say of assets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import (
    AUTHS,
    NOW,
    PATH,
    changed,
    ed25519_key,
    make,
    private_pem,
    problem,
    public_pem,
    rsa_key,
    secrets,
    signed,
    verified,
    without,
)
from support.vectors import agrees, cases, verdict

from service.domain.clock import iso, parse_moment
from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify

HMAC = "x-contentstack-hmac-signature"
RSA = "x-contentstack-request-signature"
STACK = "blt0000000000000022"
URL = f"https://images.contentstack.io/v3/assets/{STACK}/blt11/5f0c/hero.jpg"
SECRET = "fake-contentstack-secret"
VECTOR_KEY = next(
    iter(
        next(case.values[0] for case in cases("contentstack") if "public_keys" in case.values[0])[
            "public_keys"
        ].values()
    )
)


def by_rsa(**settings: Any) -> Provider:
    usual = {"secrets": [], "public_keys": secrets(public_pem(rsa_key())), "project_id": STACK}
    return make("contentstack", **usual | settings)


def rsa_signed(body: bytes | None = None) -> RawRequest:
    provider = by_rsa()
    sample = next(iter(type(provider).samples(NOW).values())) if body is None else Sample(body)
    return provider.sign(sample, PATH, NOW, private_pem(rsa_key()))


def reason(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    try:
        verify(provider, request, NOW + timedelta(seconds=seconds))
    except Refused as error:
        return error.reason
    return ""


def notification(body: Any) -> Notification:
    return make("contentstack").read(verified(json.dumps(body).encode()))


def asset(event: str = "publish", **fields: Any) -> dict[str, Any]:
    data = {"asset": {"uid": "blt11", "url": URL} | fields, "locale": "en-us", "environment": {"name": "production"}}
    return {"module": "asset", "event": event, "data": data}


def test_the_region_s_key() -> None:
    found = verify(by_rsa(), rsa_signed(), NOW)
    assert (found.scheme, found.signed_at) == ("contentstack-rsa", NOW)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(1201, "timestamp_too_old"), (-1201, "timestamp_too_new"), (1200, "")]
)
def test_the_time_in_the_signed_body(seconds: float, expected: str) -> None:
    assert reason(by_rsa(), rsa_signed(), seconds) == expected


def test_a_body_without_a_time_has_no_age() -> None:
    request = rsa_signed(json.dumps({"api_key": STACK}).encode())
    assert verify(by_rsa(), request, NOW).signed_at is None


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"api_key": null}', b'{"api_key": "blt0000000000000023"}'])
def test_another_stack_is_refused_however_it_signs(body: bytes) -> None:
    assert reason(by_rsa(), rsa_signed(body)) == "stack_not_allowed"
    provider = make("contentstack", project_id=STACK)
    assert reason(provider, provider.sign(Sample(body), PATH, NOW)) == "stack_not_allowed"
    assert reason(provider, signed(provider)) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "signature_missing"),
        ("v1=", "signature_mismatch"),
        ("v1=AAAA", "signature_mismatch"),
        ("v1=AAA", "signature_malformed"),
        ("AAAA", "signature_malformed"),
        ("v2=AAAA", "signature_malformed"),
        (",".join(["v1=AAAA"] * 9), "signature_malformed"),
    ],
)
def test_rsa_headers_that_are_refused(value: str, expected: str) -> None:
    assert reason(by_rsa(), changed(rsa_signed(), {RSA: value})) == expected


def test_one_right_signature_of_a_list_is_enough() -> None:
    request = rsa_signed()
    value = dict(request.headers)[RSA]
    assert reason(by_rsa(), changed(request, {RSA: f"v1=AAAA, v2=x, {value}"})) == ""


def test_a_changed_body_is_refused() -> None:
    request = rsa_signed()
    assert reason(by_rsa(), changed(request, body=request.body.replace(b"hero", b"evil"))) == "signature_mismatch"


def test_a_source_may_take_both() -> None:
    both = by_rsa(secrets=secrets(SECRET))
    only_hmac = make("contentstack", secrets=secrets(SECRET))
    assert verify(both, rsa_signed(), NOW).scheme == "contentstack-rsa"
    assert verify(both, signed(only_hmac), NOW).scheme == "contentstack-hmac"
    assert verify(both, both.sign(next(iter(type(both).samples(NOW).values())), PATH, NOW), NOW).signed_at == NOW
    assert reason(only_hmac, rsa_signed()) == "signature_missing"
    assert reason(by_rsa(), signed(only_hmac)) == "signature_missing"
    assert reason(both, without(rsa_signed(), RSA)) == "signature_missing"


def test_both_digests_of_a_rotation_count() -> None:
    provider = make("contentstack")
    request = signed(provider)
    value = dict(request.headers)[HMAC]
    timestamp, digest = value.split(",")
    assert reason(provider, changed(request, {HMAC: f"{timestamp},v1={'0' * 64},{digest}"})) == ""
    assert reason(provider, changed(request, {HMAC: f"{timestamp},v1={'0' * 64}"})) == "signature_mismatch"


@pytest.mark.parametrize(
    ("settings", "key", "why"),
    [
        ({"public_keys": secrets(public_pem(rsa_key()))}, "project_id", "every stack of the region"),
        ({"project_id": STACK, "auth": AUTHS["basic"]}, "project_id", "would do nothing"),
        ({"project_id": STACK, "public_keys": secrets("fake")}, "public_keys", "not an RSA public key"),
        ({"project_id": STACK, "public_keys": secrets(public_pem(ed25519_key()))}, "public_keys", "Ed25519"),
        ({"secrets": []}, "secrets", "give the signing secret"),
        ({"region": "na"}, "project_id", "every stack of the region"),
        ({"region": "mars", "project_id": STACK}, "region", "na, eu, au, azure-na, azure-eu, gcp-na, gcp-eu"),
        ({"region": "na", "auth": AUTHS["basic"]}, "region", "would do nothing"),
        (
            {"region": "na", "project_id": STACK, "public_keys": secrets(public_pem(rsa_key()))},
            "region",
            "no key is fetched",
        ),
    ],
)
def test_settings_that_do_not_suit(settings: Mapping[str, Any], key: str, why: str) -> None:
    found, message = problem("contentstack", **settings)
    assert found == key
    assert why in message


def published(key: object = None) -> bytes:
    return json.dumps({"signing-key": public_pem(rsa_key()) if key is None else key}).encode()


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("na", "app"),
        ("eu", "eu-app"),
        ("au", "au-app"),
        ("azure-na", "azure-na-app"),
        ("azure-eu", "azure-eu-app"),
        ("gcp-na", "gcp-na-app"),
        ("gcp-eu", "gcp-eu-app"),
    ],
)
def test_the_key_is_fetched_from_the_region_s_host(region: str, host: str) -> None:
    provider = by_rsa(public_keys=[], region=region)
    assert provider.key_urls(rsa_signed()) == (f"https://{host}.contentstack.com/.well-known/public-keys.json",)
    assert verify(provider, rsa_signed(), NOW, published()).scheme == "contentstack-rsa"


def test_no_key_is_fetched_for_what_a_secret_judges() -> None:
    both = by_rsa(public_keys=[], region="eu", secrets=secrets(SECRET))
    request = signed(make("contentstack", secrets=secrets(SECRET)))
    assert both.key_urls(request) == ()
    assert verify(both, request, NOW).scheme == "contentstack-hmac"
    assert verify(both, rsa_signed(), NOW, published()).scheme == "contentstack-rsa"
    assert by_rsa().key_urls(rsa_signed()) == ()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "key_missing"),
        (b"", "key_missing"),
        (b"{}", "key_missing"),
        (b"<html>", "key_unreadable"),
        (published("fake"), "key_unreadable"),
        (published(public_pem(ed25519_key())), "key_unreadable"),
        (published(VECTOR_KEY), "key_unknown"),
    ],
)
def test_published_keys_that_do_not_verify(key: bytes | None, expected: str) -> None:
    """A key that did not sign this may be an old one: it is fetched again, as often as is allowed."""
    with pytest.raises(Refused) as refused:
        verify(by_rsa(public_keys=[], region="na"), rsa_signed(), NOW, key)
    assert refused.value.reason == expected


@pytest.mark.parametrize("case", [case for case in cases("contentstack") if "public_keys" in case.values[0]])
def test_vectors_by_the_published_key(case: Mapping[str, Any]) -> None:
    body = json.loads(case["body"])
    provider = by_rsa(public_keys=[], region="na", project_id=body["api_key"])
    (pem,) = case["public_keys"].values()
    assert agrees(said := verdict(provider, case, parse_moment(body["triggered_at"]), published(pem)), case), said


def test_public_keys_alone_sign_nothing() -> None:
    with pytest.raises(CommandFailed, match="--signing-key"):
        by_rsa().sign(Sample(b"{}"), PATH, NOW)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("create", AssetKind.CREATED),
        ("update", AssetKind.UPDATED),
        ("publish", AssetKind.UPDATED),
        ("publish.success", AssetKind.UPDATED),
        ("unpublish", AssetKind.UNPUBLISHED),
        ("unpublish.success", AssetKind.UNPUBLISHED),
        ("delete", AssetKind.DELETED),
        ("invented", AssetKind.UNKNOWN),
    ],
)
def test_events(name: str, kind: AssetKind) -> None:
    assert notification(asset(name)).events == (AssetEvent(kind=kind, id="blt11", urls=(URL,), locale="en-us"),)


def test_an_asset_s_fields() -> None:
    body = asset(filename="hero.jpg", content_type="image/jpeg", url="/relative") | {"triggered_at": iso(NOW)}
    (found,) = notification(body).events
    assert (found.filename, found.mime_type, found.urls) == ("hero.jpg", "image/jpeg", ())
    assert (found.occurred_at, found.environment) == (NOW, None)


@pytest.mark.parametrize("place", ["release", None])
def test_a_release_tells_of_its_assets(place: str | None) -> None:
    items = [
        {"uid": "blt1", "content_type_uid": "built_io_upload", "action": "publish", "locale": "en-us"},
        {"uid": "blt2", "content_type_uid": "built_io_upload", "action": "unpublish"},
        {"uid": "blt3", "content_type_uid": "built_io_upload"},
        {"uid": "blt4", "content_type_uid": "page", "action": "publish"},
        {"content_type_uid": "built_io_upload"},
        None,
    ]
    data = {"items": items} if place is None else {place: {"items": items}}
    found = notification({"module": "release", "event": "deploy", "data": data})
    assert [(event.id, event.kind, event.locale) for event in found.events] == [
        ("blt1", AssetKind.UPDATED, "en-us"),
        ("blt2", AssetKind.UNPUBLISHED, None),
        ("blt3", AssetKind.UPDATED, None),
    ]
    assert found.instead is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (asset() | {"module": "entry"}, "about the module entry, not asset"),
        ({}, "about the module , not asset"),
        (asset("publish.start"), "publish.start changes nothing"),
        (asset("unpublish.fail"), "unpublish.fail changes nothing"),
        (asset("create", is_dir=True), "about a folder"),
        ({"module": "release", "event": "deploy"}, "release deploy has no asset among its items"),
    ],
)
def test_what_changes_no_image(body: Any, why: str) -> None:
    found = notification(body)
    assert (found.instead, found.events) == (Ignored(why), ())


def test_an_asset_without_a_uid_is_unreadable() -> None:
    with pytest.raises(Unreadable, match=r"no data\.asset\.uid"):
        notification(asset(uid=None))


def test_a_credential_may_take_the_place_of_signatures() -> None:
    behind = make("contentstack", auth=AUTHS["basic"])
    assert reason(behind, signed(behind)) == ""
    assert behind.key_urls(signed(behind)) == ()
