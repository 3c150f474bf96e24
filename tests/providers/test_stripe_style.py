"""Stripe's style: several digests in one header, and an event around the object it is about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import NOW, SECRETS, changed, make, secrets, signed, verified

from service.domain.errors import Refused
from service.domain.events import Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

SIGNATURE = "stripe-signature"


def outcome(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    """The scheme that verified, or the reason for the refusal, `seconds` after the request was signed."""
    try:
        return verify(provider, request, NOW + timedelta(seconds=seconds)).scheme
    except Refused as error:
        return error.reason


def read(payload: Any) -> Notification:
    return make("stripe-style").read(verified(json.dumps(payload).encode()))


def wrapped(found: Any, event_type: Any = "product.updated", **data: Any) -> dict[str, Any]:
    return {"id": "evt_1", "object": "event", "type": event_type, "created": 1, "data": {"object": found, **data}}


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("t={t},v1={good}", "stripe-v1"),
        ("v1={good},t={t}", "stripe-v1"),
        ("t={t},v1={zeros},v1={good}", "stripe-v1"),
        ("t={t},v1={good},v0=x,v9=y,z", "stripe-v1"),
        ("t={t},v1={zeros}", "signature_mismatch"),
        ("t={t},v0={good}", "signature_malformed"),
        ("t={t}", "signature_malformed"),
        ("v1={good}", "signature_malformed"),
        ("t={t},t={t},v1={good}", "signature_malformed"),
        ("t={t},v1={upper}", "signature_malformed"),
        ("t={t}.0,v1={good}", "timestamp_malformed"),
        ("t=1,v1={good}", "signature_mismatch"),
        ("t={t},v1={good}" + ",v0=x" * 40, "signature_malformed"),
        ("", "signature_missing"),
    ],
)
def test_one_good_digest_of_several_is_enough(spelling: str, expected: str) -> None:
    provider = make("stripe-style")
    request = signed(provider)
    time, _, good = dict(request.headers)[SIGNATURE].removeprefix("t=").partition(",v1=")
    given = spelling.format(t=time, good=good, upper=good.upper(), zeros="0" * 64)
    assert outcome(provider, changed(request, {SIGNATURE: given})) == expected


def test_the_time_counts_both_ways() -> None:
    request = signed(make("stripe-style"))
    patient = make("stripe-style", tolerance=3600.0)
    found = {
        seconds: (outcome(make("stripe-style"), request, seconds), outcome(patient, request, seconds))
        for seconds in (300, -300, 301, -301)
    }
    assert found == {
        300: ("stripe-v1", "stripe-v1"),
        -300: ("stripe-v1", "stripe-v1"),
        301: ("timestamp_too_old", "stripe-v1"),
        -301: ("timestamp_too_new", "stripe-v1"),
    }


def test_the_prefix_is_a_part_of_the_key() -> None:
    request = signed(make("stripe-style"))
    bare = SECRETS["stripe-style"].removeprefix("whsec_")
    assert outcome(make("stripe-style", secrets=secrets(bare)), request) == "signature_mismatch"
    assert outcome(make("stripe-style", secrets=secrets(bare, SECRETS["stripe-style"])), request) == "stripe-v1"


@pytest.mark.parametrize(
    ("payload", "identity", "kind", "urls", "earlier"),
    [
        (wrapped({"id": "prod_1", "images": ["https://x/1", "https://x/2"]}), "prod_1", "updated",
         ("https://x/1", "https://x/2"), ()),
        (wrapped({"id": "prod_1", "images": ["https://x/2"]}, previous_attributes={"images": ["https://x/1"]}),
         "prod_1", "updated", ("https://x/2",), ("https://x/1",)),
        (wrapped({"id": "prod_1", "images": []}, "product.deleted"), "prod_1", "deleted", (), ()),
        (wrapped({"id": "prod_1", "images": 7}, "product.created", previous_attributes=[]), "prod_1", "created",
         (), ()),
        (wrapped({"id": "file_1", "url": "https://x/1"}, "file.created"), "file_1", "created", ("https://x/1",), ()),
        (wrapped({"id": "in_1"}, "invoice.paid"), "in_1", "unknown", (), ()),
        (wrapped({"id": "in_1"}, 7), "in_1", "unknown", (), ()),
    ],
)  # fmt: skip
def test_events(
    payload: Mapping[str, Any], identity: str, kind: str, urls: tuple[str, ...], earlier: tuple[str, ...]
) -> None:
    notification = read(payload)
    (found,) = notification.events
    assert (found.id, found.kind.value, found.urls, found.earlier_urls) == (identity, kind, urls, earlier)
    assert (notification.event_id, notification.payload) == ("evt_1", payload)
    assert found.occurred_at is not None
    assert found.occurred_at.timestamp() == 1


@pytest.mark.parametrize(
    ("payload", "kind", "urls"),
    [
        ({"type": "asset.updated", "data": {"id": 1, "url": "https://x/1"}}, "updated", ("https://x/1",)),
        ({"event": "asset.deleted", "id": "evt_1", "url": "https://x/1"}, "deleted", ("https://x/1",)),
        (wrapped({}) | {"url": "https://x/1"}, "updated", ()),
        ([], "unknown", ()),
    ],
)
def test_payloads_of_others(payload: Any, kind: str, urls: tuple[str, ...]) -> None:
    (found,) = read(payload).events
    assert (found.kind.value, found.urls) == (kind, urls)
