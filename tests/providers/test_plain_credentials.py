"""Basic, Bearer, a header and a secret URL: what a source must say, and what lets a request in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NAME, NOW, PATH, changed, make, problem, secrets, signed, verified, with_key_of_path

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Source

KINDS = {"basic": "basic", "bearer": "bearer", "header": "header", "capability-url": "capability"}


def outcome(provider: Provider, request: RawRequest) -> str:
    """The scheme that verified, or the reason for the refusal."""
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


@pytest.mark.parametrize(("name", "implied"), [("bearer", "bearer"), ("capability-url", "capability")])
def test_the_name_says_it_all(name: str, implied: str) -> None:
    provider = build(NAME, Source(provider=name, secrets=secrets("fake-secret")))
    spelled = build(NAME, Source(provider=name, secrets=secrets("fake-secret"), auth=AUTHS[implied]))
    assert outcome(provider, signed(spelled)) == implied
    assert signed(provider) == signed(spelled)


@pytest.mark.parametrize(
    ("name", "words"),
    [("basic", "auth: {basic: …}"), ("header", "auth: {header: …}"), ("plain", "or spell `unverified: true`")],
)
def test_a_name_that_leaves_something_open(name: str, words: str) -> None:
    key, message = problem(name, auth=None, unverified=False)
    assert key == "auth"
    assert words in message


@pytest.mark.parametrize("name", KINDS)
def test_another_credential_is_another_provider(name: str) -> None:
    for kind, auth in AUTHS.items():
        if kind != KINDS[name]:
            assert problem(name, auth=auth) == ("auth", f"{name} does not offer {kind} (offered: {KINDS[name]})")


@pytest.mark.parametrize(
    ("name", "headers", "expected"),
    [
        ("basic", {}, "credential_missing"),
        ("basic", {"authorization": "Basic c2VuZGVyOmZha2UtYmFzaWMtc2VjcmV0"}, "basic"),
        ("basic", {"authorization": "Basic b3RoZXI6ZmFrZS1iYXNpYy1zZWNyZXQ="}, "credential_mismatch"),
        ("basic", {"authorization": "Bearer fake-basic-secret"}, "credential_malformed"),
        ("bearer", {}, "credential_missing"),
        ("bearer", {"authorization": "Bearer fake-bearer-secret"}, "bearer"),
        ("bearer", {"authorization": "Bearer fake-bearer-secret2"}, "credential_mismatch"),
        ("header", {}, "credential_missing"),
        ("header", {"x-relay-key": "fake-header-secret"}, "header"),
        ("header", {"x-relay-key": "Fake-header-secret"}, "credential_mismatch"),
        ("capability-url", {}, "credential_missing"),
    ],
)
def test_who_is_let_in(name: str, headers: Mapping[str, str], expected: str) -> None:
    assert outcome(make(name), RawRequest.of("POST", PATH, headers, b"{}")) == expected


def test_a_url_is_good_for_one_source_and_until_its_secret_goes() -> None:
    request = signed(make("capability-url"))
    assert outcome(make("capability-url"), request) == "capability"
    assert outcome(make("capability-url", secrets=secrets("fake-other")), request) == "capability_invalid"
    other = build("other", Source(provider="capability-url", secrets=secrets("fake-capability-url-secret")))
    assert outcome(other, request) == "capability_for_another_source"
    cut = changed(request, path=request.path[:-1])
    assert outcome(make("capability-url"), with_key_of_path(cut)) == "capability_invalid"


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("payload", "identity", "kind", "urls"),
    [
        ({"type": "asset.replaced", "data": {"id": 7, "url": "https://x/1"}}, "7", "replaced", ("https://x/1",)),
        ({"event": "deleted", "id": "a"}, "a", "deleted", ()),
        ({"event_type": "media.unpublished", "id": "a"}, "a", "unpublished", ()),
        ({"action": "renamed", "id": "a", "type": ""}, "a", "renamed", ()),
        ({"id": "a", "urls": ["https://x/1"]}, "a", "unknown", ("https://x/1",)),
    ],
)
def test_payloads(name: str, payload: Any, identity: str, kind: str, urls: tuple[str, ...]) -> None:
    (found,) = make(name).read(verified(json.dumps(payload).encode())).events
    assert (found.id, found.kind.value, found.urls) == (identity, kind, urls)


def test_the_same_bytes_again_are_another_event_unless_they_tell_the_time() -> None:
    provider = make("bearer")
    timed = provider.sign(Sample(b'{"timestamp": "2026-11-24T12:00:00Z"}'), PATH, NOW)
    assert provider.read(verify(provider, timed, NOW)).event_id is None
    untimed = provider.sign(Sample(b'{"id": 1}'), PATH, NOW)
    first, second = (provider.read(verify(provider, untimed, at)).event_id for at in (NOW, NOW.replace(minute=1)))
    assert first
    assert second
    assert first != second
