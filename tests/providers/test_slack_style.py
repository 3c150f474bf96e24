"""Slack's style: a version, a time, and a body that is JSON or a form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import NOW, PATH, SECRETS, changed, make, secrets, signed, verified

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify

SIGNATURE = "x-slack-signature"
TIMESTAMP = "x-slack-request-timestamp"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def outcome(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    """The scheme that verified, or the reason for the refusal, `seconds` after the request was signed."""
    try:
        return verify(provider, request, NOW + timedelta(seconds=seconds)).scheme
    except Refused as error:
        return error.reason


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("v0={good}", "slack-v0"),
        ("{good}", "signature_malformed"),
        ("v1={good}", "signature_malformed"),
        ("v0={upper}", "signature_malformed"),
        ("v0={good},v0={good}", "signature_malformed"),
        ("v0={zeros}", "signature_mismatch"),
    ],
)
def test_one_spelling_of_the_signature(spelling: str, expected: str) -> None:
    provider = make("slack-style")
    request = signed(provider)
    good = dict(request.headers)[SIGNATURE].removeprefix("v0=")
    given = spelling.format(good=good, upper=good.upper(), zeros="0" * 64)
    assert outcome(provider, changed(request, {SIGNATURE: given})) == expected


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [("1", "signature_mismatch"), ("1795521600.0", "timestamp_malformed"), ("x", "timestamp_malformed")],
)
def test_the_time_is_signed(timestamp: str, expected: str) -> None:
    provider = make("slack-style")
    assert outcome(provider, changed(signed(provider), {TIMESTAMP: timestamp})) == expected


@pytest.mark.parametrize(
    ("seconds", "usual", "patient"),
    [
        (300, "slack-v0", "slack-v0"),
        (-300, "slack-v0", "slack-v0"),
        (301, "timestamp_too_old", "slack-v0"),
        (-301, "timestamp_too_new", "slack-v0"),
    ],
)
def test_the_time_counts_both_ways(seconds: float, usual: str, patient: str) -> None:
    request = signed(make("slack-style"))
    assert outcome(make("slack-style"), request, seconds) == usual
    assert outcome(make("slack-style", tolerance=3600.0), request, seconds) == patient


def test_every_secret_is_tried() -> None:
    request = signed(make("slack-style"))
    assert outcome(make("slack-style", secrets=secrets("fake-new", SECRETS["slack-style"])), request) == "slack-v0"
    assert outcome(make("slack-style", secrets=secrets("fake-new")), request) == "signature_mismatch"


@pytest.mark.parametrize(
    ("body", "headers", "payload"),
    [
        (b"command=%2Fpurge&text=https%3A%2F%2Fx%2F1.jpg", FORM, {"command": "/purge", "text": "https://x/1.jpg"}),
        (b"text=&a=1", {"content-type": "Application/X-WWW-form-urlencoded; charset=utf-8"}, {"text": "", "a": "1"}),
        (b'{"text":"a=b"}', {"content-type": "application/json"}, {"text": "a=b"}),
        (b'{"text":"a=b"}', {}, {"text": "a=b"}),
    ],
)
def test_forms_and_json(body: bytes, headers: Mapping[str, str], payload: Any) -> None:
    provider = make("slack-style")
    request = provider.sign(Sample(body, headers), PATH, NOW)
    notification = provider.read(verify(provider, request, NOW))
    (found,) = notification.events
    assert (notification.payload, found.kind.value, found.urls) == (payload, "unknown", ())


@pytest.mark.parametrize("body", [b"a", b"=a&b", b"a=%ff", b"a=\xff", b"a=1&&b"])
def test_a_form_that_is_none(body: bytes) -> None:
    with pytest.raises(Unreadable):
        make("slack-style").read(verified(body, FORM))


def test_the_sender_s_question_is_a_ping() -> None:
    body = json.dumps({"type": "url_verification", "challenge": "fake"}).encode()
    found = make("slack-style").read(verified(body))
    assert (found.events, type(found.instead)) == ((), events.TestPing)


def test_a_plain_payload() -> None:
    body = json.dumps({"type": "asset.deleted", "data": {"id": "a", "url": "https://x/1"}}).encode()
    (found,) = make("slack-style").read(verified(body)).events
    assert (found.id, found.kind.value, found.urls) == ("a", "deleted", ("https://x/1",))
