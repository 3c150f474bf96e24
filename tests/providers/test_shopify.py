"""Shopify: two families of headers, topics that nobody signs, and the images of a product."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import NOW, changed, make, signed, verified, without

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.verification import verify

SIGNATURE = "x-shopify-hmac-sha256"
TOPIC = "x-shopify-topic"
HERO, SIDE = (f"https://cdn.shopify.com/s/files/1/0001/files/{name}.jpg?v=1700000000" for name in ("hero", "side"))
PRODUCT = {"id": 7, "image": {"src": HERO}, "images": [{"src": HERO}, {"src": SIDE}]}


def notification(body: Any, headers: Mapping[str, str]) -> Notification:
    return make("shopify").read(verified(json.dumps(body).encode(), headers))


def event(body: Any, topic: str) -> AssetEvent:
    (found,) = notification(body, {TOPIC: topic}).events
    return found


def reason(request: RawRequest) -> str:
    try:
        verify(make("shopify"), request, NOW)
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("topic", "body", "expected"),
    [
        ("products/create", PRODUCT, (AssetKind.CREATED, "product/7", (HERO, SIDE))),
        ("products/update", PRODUCT, (AssetKind.UPDATED, "product/7", (HERO, SIDE))),
        ("products/invented", PRODUCT, (AssetKind.UPDATED, "product/7", (HERO, SIDE))),
        ("products/delete", {"id": 7}, (AssetKind.DELETED, "product/7", ())),
        ("products/delete", PRODUCT, (AssetKind.UPDATED, "product/7", (HERO, SIDE))),
        ("collections/update", {"id": 7, "image": {"src": SIDE}}, (AssetKind.UPDATED, "collection/7", (SIDE,))),
        ("products/update", {"id": 7, "images": [{"src": "/a.jpg"}, {}, None]}, (AssetKind.UPDATED, "product/7", ())),
        ("Product", PRODUCT, (AssetKind.UPDATED, "product/7", (HERO, SIDE))),
    ],
)
def test_topics(topic: str, body: Any, expected: tuple[AssetKind, str, tuple[str, ...]]) -> None:
    found = event(body, topic)
    assert (found.kind, found.id, found.urls) == expected


def test_the_action_of_the_newer_subscriptions() -> None:
    headers = {"shopify-topic": "Product", "shopify-action": "delete"}
    (found,) = notification({"id": 7}, headers).events
    assert (found.kind, found.id) == (AssetKind.DELETED, "product/7")


def test_times_come_from_the_signed_body_alone() -> None:
    headers = {TOPIC: "products/update", "x-shopify-triggered-at": "2999-01-01T00:00:00Z"}
    (undated,) = notification(PRODUCT, headers).events
    assert undated.occurred_at is None
    (dated,) = notification(PRODUCT | {"updated_at": "2026-10-14T13:46:40-04:00"}, headers).events
    assert dated.occurred_at == datetime(2026, 10, 14, 17, 46, 40, tzinfo=UTC)
    (deleted,) = notification({"id": 7}, headers | {TOPIC: "products/delete"}).events
    assert deleted.occurred_at == NOW


@pytest.mark.parametrize("topic", ["orders/create", "app/uninstalled", ""])
def test_what_is_not_about_images(topic: str) -> None:
    found = notification(PRODUCT, {TOPIC: topic})
    assert (found.instead, found.events) == (Ignored(f"the topic {topic} is not about images"), ())


def test_a_product_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the product has no id"):
        event({"images": []}, "products/update")


def test_a_delivery_is_known_by_its_id_and_its_body() -> None:
    one = {TOPIC: "products/update", "x-shopify-webhook-id": "w1"}
    ids = [
        notification(body, headers).event_id
        for body, headers in [
            (PRODUCT, one),
            (PRODUCT, one | {"x-shopify-webhook-id": "w2"}),
            (PRODUCT | {"title": "T-Shirt"}, one),
        ]
    ]
    assert len(set(ids)) == 3
    assert notification(PRODUCT, one).event_id == ids[0]
    assert notification(PRODUCT, {TOPIC: "products/update"}).event_id is None


@pytest.mark.parametrize("name", ["topic", "shop-domain", "api-version", "webhook-id"])
def test_headers_without_which_shopify_sends_nothing(name: str) -> None:
    request = signed(make("shopify"))
    assert reason(without(request, f"x-shopify-{name}")) == "header_missing"
    assert reason(changed(request, {f"x-shopify-{name}": ""})) == "header_missing"


def test_the_newer_family_of_headers() -> None:
    request = signed(make("shopify"))
    value = dict(request.headers)[SIGNATURE]
    newer = changed(without(request, SIGNATURE), {"shopify-hmac-sha256": value, "shopify-topic": "Product"})
    assert reason(newer) == ""
    assert reason(without(newer, "shopify-topic")) == "header_missing"
    assert reason(changed(newer, {SIGNATURE: "A" * 43 + "="})) == "signature_mismatch"  # the usual one counts
    assert reason(changed(newer, {SIGNATURE: ""})) == "signature_missing"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("A" * 43 + "=", "signature_mismatch"), ("A" * 43, "signature_malformed"), ("f" * 64, "signature_mismatch")],
)
def test_signatures_that_are_refused(value: str, expected: str) -> None:
    assert reason(changed(signed(make("shopify")), {SIGNATURE: value})) == expected
