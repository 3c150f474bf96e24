"""Amazon EventBridge: each kind of connection, the recorded requests of an emulator, and what an event says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NOW, changed, make, problem, secrets, signed, verified, without
from support.tokens import ISSUER, ISSUER_CLAIMS, bearing, jwks, token
from support.vectors import captured, cases, request_of, verdict

from service.domain.clock import iso
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, Ignored
from service.providers.base import Provider
from service.providers.verification import verify
from service.settings.model import Auth, Jwt

NAME = "aws-eventbridge"


def event_of(event_type: Any = "Object Created", **more: Any) -> dict[str, Any]:
    detail = {"bucket": {"name": "my-bucket"}, "object": {"key": "a+b %20.jpg", "etag": "e1", "sequencer": "0a0"}}
    usual = {"id": "e-1", "detail-type": event_type, "source": "aws.s3", "time": iso(NOW), "detail": detail}
    return usual | more


def events(document: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(json.dumps(document).encode())).events


def connection(given: Mapping[str, str]) -> Provider:
    """The source for what a recorded request calls its secret; LocalStack's encoding of keys."""
    match given:
        case {"user": user, "password": secret}:
            auth = Auth(basic=user)
        case {"bearer": secret}:
            auth = Auth(bearer=True)
        case _:
            auth, secret = Auth(header="X-Relay-Key"), given.get("value", "k3y")
    return make(NAME, auth=auth, secrets=secrets(secret))


@pytest.mark.parametrize("case", cases(NAME))
def test_vectors(case: Mapping[str, Any]) -> None:
    """The two token requests go to a token endpoint and are no webhooks; the one with a space at its end never comes
    that way, as HTTP servers strip it. Both have no verdict of their own and are refused."""
    provider = connection(case["secret"])
    assert (verdict(provider, case, NOW) == "accepted") is bool(case["valid"])


@pytest.mark.parametrize("case", [one for one in cases(NAME) if "expect" in one.values[0]])
def test_the_objects_of_vectors(case: Mapping[str, Any]) -> None:
    emulated = case["library"].startswith("localstack")
    provider = make(NAME, key_encoding="url" if emulated else None)
    found = provider.read(verified(request_of(case).body))
    (event,), (expected,) = found.events, case["expect"]
    assert (event.bucket, event.key) == (expected["bucket"], expected["key"])
    assert (event.kind.value, event.content_hash) == (
        {"write": "updated", "delete": "deleted"}[expected["op"]],
        expected["etag"],
    )
    assert found.event_id == expected["dedup"]


@pytest.mark.parametrize("number", ["01", "02", "04", "05", "06", "08"])
def test_captures_of_localstack(number: str) -> None:
    request = captured(f"localstack-eb-{number}")
    given: dict[str, dict[str, str]] = {
        "/hooks/eb-basic": {"user": "user", "password": "p@ss"},
        "/hooks/eb-oauth": {"bearer": "tok-123"},
    }
    provider = connection(given.get(request.path, {}))
    found = verify(provider, request, NOW)
    assert [event.bucket for event in provider.read(found).events] == ["eb-bucket"]
    assert set(found.headers) == {"content-type"}


def test_a_second_secret_and_none() -> None:
    request = signed(make(NAME))
    provider = make(NAME, secrets=secrets("fake-new", "fake-eventbridge-key"))
    assert verify(provider, request, NOW).scheme == "header"
    assert verdict(provider, as_case(without(request, "x-relay-key").headers), NOW) == "credential_missing"
    assert verdict(provider, as_case(changed(request, {"x-relay-key": "k"}).headers), NOW) == "credential_mismatch"


def as_case(headers: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    return {"method": "POST", "path": "/hooks/hook", "headers": dict(headers), "body": "{}"}


def test_the_connection_is_to_be_named() -> None:
    key, message = problem(NAME, auth=None)
    assert key == "auth"
    assert "header: NAME" in message
    assert make(NAME, auth=None, secrets=[], unverified=True).credential is None
    assert problem(NAME, auth=AUTHS["query"])[0] == "auth"


def test_a_connection_by_oauth_whose_token_its_issuer_signs() -> None:
    settings = Jwt(**ISSUER, jwks_url="https://issuer.example/keys")
    provider = make(NAME, auth=Auth(jwt=settings), secrets=[])
    request = bearing(token(ISSUER_CLAIMS), json.dumps(event_of()).encode())
    assert provider.key_urls(request) == ("https://issuer.example/keys",)
    found = verify(provider, request, NOW, jwks().encode())
    assert (found.scheme, [event.key for event in provider.read(found).events]) == ("jwt", ["a+b %20.jpg"])


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("Object Created", "updated"),
        ("Object Deleted", "deleted"),
        ("Object ACL Updated", None),
        ("Object Tags Added", None),
        ("Object Restore Completed", None),
        ("Scheduled Event", None),
    ],
)
def test_types_of_events(event_type: str, kind: str | None) -> None:
    assert [event.kind.value for event in events(event_of(event_type))] == ([] if kind is None else [kind])


def test_what_an_event_says() -> None:
    (event,) = events(event_of(extra="of the connection"))
    assert (event.id, event.bucket, event.key) == ("my-bucket/a+b %20.jpg", "my-bucket", "a+b %20.jpg")
    assert event.urls == ("https://img.example.com/a%2Bb%20%2520.jpg", "https://img.example.com/a+b%20%2520.jpg")
    assert (event.occurred_at, event.content_hash, event.sequence) == (NOW, "e1", "0A")
    (event,) = events(event_of(), key_encoding="form")
    assert event.key == "a b  .jpg"


@pytest.mark.parametrize(
    "document",
    [
        event_of(source="com.example.shop"),
        event_of(source=None),
        event_of(detail=None),
        event_of(detail={"bucket": {"name": "b"}, "object": {"key": "a\n"}}),
    ],
)
def test_what_names_no_object_of_s3_is_ignored(document: Any) -> None:
    found = make(NAME).read(verified(json.dumps(document).encode()))
    assert isinstance(found.instead, Ignored)
    assert found.event_id == "e-1"


@pytest.mark.parametrize("event_type", [None, 7, ""])
def test_another_payload_is_unreadable(event_type: Any) -> None:
    with pytest.raises(Unreadable, match="no event of EventBridge"):
        events(event_of(event_type))
