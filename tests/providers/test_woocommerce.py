"""WooCommerce: the ping before anything is signed, secrets with HTML entities, and the images of a product."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import AUTHS, NOW, PATH, changed, make, secrets, signed, verified, with_key_of_path

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.credentials import make_capability
from service.providers.verification import verify

SIGNATURE, TOPIC, DELIVERY = (f"x-wc-webhook-{name}" for name in ("signature", "topic", "delivery-id"))
HERO, SIDE = (f"https://shop.example.com/wp-content/uploads/2026/11/{name}.jpg" for name in ("hero", "side"))
PRODUCT = {"id": 7, "images": [{"id": 1, "src": HERO}, {"id": 2, "src": SIDE}]}
FORM = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}


def notification(body: Any, headers: Mapping[str, str]) -> Notification:
    return make("woocommerce").read(verified(json.dumps(body).encode(), headers))


def event(body: Any, topic: str) -> AssetEvent:
    (found,) = notification(body, {TOPIC: topic}).events
    return found


def reason(provider: Provider, request: RawRequest) -> str:
    try:
        verify(provider, request, NOW)
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("topic", "body", "expected"),
    [
        ("product.created", PRODUCT, (AssetKind.CREATED, "product/7", (HERO, SIDE))),
        ("product.updated", PRODUCT, (AssetKind.UPDATED, "product/7", (HERO, SIDE))),
        ("product.restored", PRODUCT, (AssetKind.RESTORED, "product/7", (HERO, SIDE))),
        ("product.invented", PRODUCT, (AssetKind.UPDATED, "product/7", (HERO, SIDE))),
        ("product.deleted", {"id": 7}, (AssetKind.DELETED, "product/7", ())),
        ("product.deleted", PRODUCT, (AssetKind.UPDATED, "product/7", (HERO, SIDE))),
        ("product.updated", {"id": "7", "image": {"src": SIDE}}, (AssetKind.UPDATED, "product/7", (SIDE,))),
        ("product.updated", {"id": 7, "images": [{"src": "/a.jpg"}, {}, None]}, (AssetKind.UPDATED, "product/7", ())),
    ],
)
def test_topics(topic: str, body: Any, expected: tuple[AssetKind, str, tuple[str, ...]]) -> None:
    found = event(body, topic)
    assert (found.kind, found.id, found.urls) == expected


def test_times() -> None:
    modified = {"date_modified": "2026-10-14T19:46:40", "date_modified_gmt": "2026-10-14T17:46:40"}
    assert event(PRODUCT | modified, "product.updated").occurred_at == datetime(2026, 10, 14, 17, 46, 40, tzinfo=UTC)
    assert event(PRODUCT, "product.updated").occurred_at is None
    assert event({"id": 7}, "product.deleted").occurred_at == NOW


@pytest.mark.parametrize("topic", ["order.created", "action.woocommerce_add_to_cart", ""])
def test_what_is_not_about_a_product(topic: str) -> None:
    found = notification(PRODUCT, {TOPIC: topic})
    assert (found.instead, found.events) == (Ignored(f"the topic {topic} is not about a product"), ())


def test_a_product_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the product has no id"):
        event({"images": []}, "product.updated")


def test_two_deliveries_within_a_second_are_two() -> None:
    headers = {TOPIC: "product.updated", DELIVERY: "d1"}
    one, again, other = (
        notification(body, headers).event_id for body in (PRODUCT, PRODUCT, PRODUCT | {"name": "T-Shirt"})
    )
    assert one == again
    assert one != other
    assert notification(PRODUCT, headers | {DELIVERY: ""}).event_id not in (None, one)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("a&b<c>\"d'e", "a&b<c>\"d'e"),
        ("a&amp;b&lt;c&gt;&quot;d&#039;e", "a&b<c>\"d'e"),
        ("&#38;&#0038;&#x26;&#X026;", "&&&&"),
        ("&#39;&#x27;&#34;&#x22;&#60;&#62;", "''\"\"<>"),
        ("&amp;amp;", "&amp;"),
        ("&nbsp;&LT;&#40;&lt", "&nbsp;&LT;&#40;&lt"),
    ],
)
def test_secrets_with_entities(given: str, used: str) -> None:
    """WooCommerce signs with the second; whoever reads its database or its form may have either."""
    provider = make("woocommerce", secrets=secrets(given))
    assert reason(provider, signed(make("woocommerce", secrets=secrets(used)))) == ""
    assert reason(provider, signed(provider)) == ""
    assert reason(provider, signed(make("woocommerce", secrets=secrets(used + "x")))) == "signature_mismatch"


@pytest.mark.parametrize(
    ("method", "headers", "body", "greeted"),
    [
        ("POST", FORM, b"webhook_id=12", True),
        ("POST", {"content-type": "application/x-www-form-urlencoded"}, b"webhook_id=0", True),
        ("POST", {"content-type": "Application/X-WWW-Form-Urlencoded"}, b"webhook_id=7", True),
        ("PUT", FORM, b"webhook_id=12", False),
        ("POST", FORM, b"webhook_id=", False),
        ("POST", FORM, b"webhook_id=12&x=1", False),
        ("POST", FORM, b"webhook_id=12\n", False),
        ("POST", FORM, b"webhook_id=" + b"1" * 21, False),
        ("POST", {"content-type": "application/json"}, b"webhook_id=12", False),
        ("POST", {}, b"webhook_id=12", False),
        ("POST", FORM | {SIGNATURE: ""}, b"webhook_id=12", False),
        ("POST", FORM | {SIGNATURE: "x"}, b"webhook_id=12", False),
    ],
)
def test_the_ping(method: str, headers: dict[str, str], body: bytes, greeted: bool) -> None:
    found = make("woocommerce").greeting(RawRequest.of(method, PATH, headers, body), NOW)
    assert (found is not None) is greeted
    if found is not None:
        assert (found.status, found.body, dict(found.headers)) == (200, b"", {})


def test_the_ping_of_a_secret_url_shows_the_secret() -> None:
    provider = make("woocommerce", auth=AUTHS["capability"], secrets=secrets("fake-secret"))
    path = f"{PATH}/{make_capability(provider.name, ['fake-secret'])}"
    ping = RawRequest.of("POST", path, FORM, b"webhook_id=12")
    assert provider.greeting(with_key_of_path(ping), NOW) is not None
    with pytest.raises(Refused):
        provider.greeting(with_key_of_path(changed(ping, path=f"{PATH}/other")), NOW)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("A" * 43 + "=", "signature_mismatch"), ("A" * 43, "signature_malformed"), ("", "signature_missing")],
)
def test_signatures_that_are_refused(value: str, expected: str) -> None:
    provider = make("woocommerce")
    assert reason(provider, changed(signed(provider), {SIGNATURE: value})) == expected
