"""Cloudflare Images: the secret of a webhook destination, its test, and what an alert may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NOW, changed, make, problem, secrets, signed, verified, without
from support.vectors import cases, request_of, verdict

from service.domain import events
from service.domain.clock import parse_moment, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import Notification
from service.providers.verification import verify
from service.settings.model import Auth

NAME = "cloudflare-images"
IMAGE = "https://imagedelivery.net/Vi7wi5KSItxGFsWRG2Us6Q/2cdc28f0/public"


def read(**alert: Any) -> Notification:
    usual = {"text": "Image upload succeeded", "data": {}, "ts": to_ms(NOW) // 1000, "alert_correlation_id": "c-1"}
    return make(NAME).read(verified(json.dumps(usual | alert).encode()))


@pytest.mark.parametrize("case", cases(NAME))
def test_vectors(case: Mapping[str, Any]) -> None:
    provider = make(NAME, secrets=secrets(case["secret"]))
    assert (verdict(provider, case, NOW) == "accepted") is case["valid"]
    (event,) = provider.read(verify(provider, request_of(case), NOW)).events
    assert event.occurred_at == parse_moment(str(case["now"]))


@pytest.mark.parametrize(
    ("value", "reason"), [(None, "credential_missing"), ("", "credential_mismatch"), ("x", "credential_mismatch")]
)
def test_another_secret_and_none(value: str | None, reason: str) -> None:
    request = without(signed(make(NAME)), "cf-webhook-auth")
    if value is not None:
        request = changed(request, {"cf-webhook-auth": value})
    with pytest.raises(Refused) as refused:
        verify(make(NAME), request, NOW)
    assert refused.value.reason == reason
    assert problem(NAME, auth=Auth(bearer=True))[0] == "auth"


def test_save_and_test() -> None:
    found = make(NAME).read(verified(b'{"text":"Hello World! This is a test message"}'))
    assert isinstance(found.instead, events.TestPing)
    assert found.events == ()


def test_what_an_alert_says() -> None:
    found = read()
    (event,) = found.events
    assert (event.kind.value, event.id, event.urls, event.occurred_at) == ("updated", "c-1", (), NOW)
    assert found.event_id == "c-1"
    (event,) = read(data={"id": "2cdc28f0", "variants": [IMAGE, "https://example.com/page"]}).events
    assert (event.id, event.urls) == ("2cdc28f0", (IMAGE,))


def test_what_may_be_absent() -> None:
    found = read(alert_correlation_id=None, ts=None, data=None)
    (event,) = found.events
    assert (found.event_id, event.occurred_at, len(event.id)) == (None, None, 32)


@pytest.mark.parametrize("document", [b"{}", b'{"text":7}', b'{"data":{}}', b"[]"])
def test_another_payload_is_unreadable(document: bytes) -> None:
    with pytest.raises(Unreadable):
        make(NAME).read(verified(document))
