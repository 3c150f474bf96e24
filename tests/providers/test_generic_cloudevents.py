"""CloudEvents of a sender's own: kinds, assets without an id, and the handshake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NAME, NOW, PATH, make, problem, secrets, verified, with_key_of_path
from support.tokens import ISSUER, ISSUER_CLAIMS, bearing, jwks, token

from service.domain.errors import Refused
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import Greeting, RawRequest
from service.providers.base import Provider
from service.providers.verification import verify
from service.settings.model import Auth, Jwt

ORIGIN = "events.example.com"
EVENT = {"specversion": "1.0", "id": "1", "source": "/here", "type": "com.example.asset.updated"}


def one(**more: Any) -> AssetEvent:
    (event,) = make("cloudevents").read(verified(json.dumps({**EVENT, **more}).encode())).events
    return event


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("com.example.asset.replaced", "replaced"),
        ("asset.deleted.v2", "deleted"),
        ("deleted", "deleted"),
        ("asset.v1.unpublished", "unpublished"),
        ("asset.v", "unknown"),
        ("com.example.order.placed", "unknown"),
    ],
)
def test_kinds(event_type: str, kind: str) -> None:
    assert one(type=event_type).kind.value == kind


def test_what_an_event_says() -> None:
    event = one(data={"id": 5, "url": "https://a/b.jpg", "old_url": "https://a/a.jpg"}, time="2026-11-24T12:00:00Z")
    assert (event.id, event.urls, event.earlier_urls) == ("5", ("https://a/b.jpg",), ("https://a/a.jpg",))
    assert event.occurred_at == NOW
    assert one().id == "/here 1"
    assert one(subject="hero.jpg", data=None).id == "/here hero.jpg"
    assert one(data="text").occurred_at is None


def test_a_batch_that_is_empty_and_one_that_is_not() -> None:
    provider = make("cloudevents")
    assert isinstance(provider.read(verified(b"[]")).instead, Ignored)
    found = provider.read(verified(json.dumps([EVENT, {**EVENT, "id": "2"}]).encode()))
    assert len(found.events) == 2
    assert found.event_id not in (None, "/here 1", "/here 2")


def asked(provider: Provider, path: str = PATH, method: str = "OPTIONS", **headers: str) -> Greeting | str | None:
    given = {"webhook-request-origin": ORIGIN.upper()} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    try:
        return provider.greeting(RawRequest.of(method, path, given, b""), NOW)
    except Refused as error:
        return error.reason


@pytest.mark.parametrize("kind", ["bearer", "header", "basic"])
def test_consent_for_an_origin_that_is_allowed(kind: str) -> None:
    provider = make("cloudevents", auth=AUTHS[kind], allowed_origins=["other.example", ORIGIN])
    found = asked(provider, webhook_request_callback="http://169.254.169.254/", webhook_request_rate="120")
    assert isinstance(found, Greeting)
    assert found.headers == {"allow": "POST", "webhook-allowed-origin": ORIGIN, "webhook-allowed-rate": "*"}
    assert asked(provider, webhook_request_origin="evil.example") == "origin_not_allowed"
    assert asked(provider, method="POST") is None


def test_no_consent_where_no_origin_is_allowed() -> None:
    assert asked(make("cloudevents")) is None


def test_a_secret_in_the_url_must_be_right_for_the_handshake_too() -> None:
    provider = make("cloudevents", auth=Auth(query="access_token"), secrets=secrets("fake"), allowed_origins=[ORIGIN])
    assert isinstance(asked(provider, f"{PATH}?access_token=fake"), Greeting)
    assert asked(provider, f"{PATH}?access_token=other") == "credential_mismatch"
    assert asked(provider) == "credential_missing"
    assert asked(make("cloudevents", auth=AUTHS["capability"], allowed_origins=[ORIGIN])) == "credential_missing"


@pytest.mark.parametrize("auth", [{"auth": Auth(jwt=Jwt(**ISSUER)), "public_keys": secrets(jwks()), "secrets": []}, {}])
def test_a_token_of_either_kind(auth: Mapping[str, Any]) -> None:
    provider = make("cloudevents", **auth)
    given = token(ISSUER_CLAIMS) if auth else "fake-cloudevents-token"
    assert verify(provider, bearing(given, json.dumps(EVENT).encode()), NOW).source == NAME
    with pytest.raises(Refused):
        verify(provider, bearing(f"{given}x"), NOW)


def test_a_capability() -> None:
    provider = make("cloudevents", auth=AUTHS["capability"])
    request = provider.sign(type(provider).samples(NOW)["batch"], PATH, NOW)
    assert verify(provider, with_key_of_path(request), NOW).scheme == "capability"


@pytest.mark.parametrize("origin", ["*", "", "https://events.example.com", "a b", "-a", "ü.example"])
def test_what_is_no_origin(origin: str) -> None:
    assert problem("cloudevents", allowed_origins=[ORIGIN, origin])[0] == "allowed_origins"
