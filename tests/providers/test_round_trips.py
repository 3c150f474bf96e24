"""What a provider signs it verifies, and what was changed on the way it refuses."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.senders import (
    AUTHS,
    CASES,
    NOW,
    PATH,
    PROVIDERS,
    SECRETS,
    changed,
    every_sample,
    make,
    read,
    secrets,
    signed,
    signed_sample,
    verified,
    with_key_of_path,
    without,
)

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.events import Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.registry import provider_class
from service.providers.verification import verify

UNSIGNED_BODIES = {name for name, case in CASES.items() if case.body == "unsigned"}
CHANGED_BITS = st.integers(1, 255)
WRONG_SECRET = ("signature_mismatch", "credential_mismatch", "capability_invalid")


def reason(provider: Provider, request: RawRequest, seconds: float = 0) -> str:
    """Why a request is refused, `seconds` after it was signed; empty where it is not."""
    try:
        verify(provider, request, NOW + timedelta(seconds=seconds))
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(("name", "sample"), every_sample())
def test_a_sample_verifies_and_reads(name: str, sample: str) -> None:
    provider = make(name)
    notification = read(provider, signed(provider, sample))
    case, expected = CASES[name], CASES[name].samples[sample]
    if notification.instead is not None:
        assert type(notification.instead).__name__ == expected.instead
        return
    event = notification.events[0]
    assert len(notification.events) == expected.events
    assert event.kind.value == expected.kind
    assert (event.occurred_at is None) is case.no_time
    assert (event.urls[0] if event.urls else "").startswith(expected.url or "")
    assert bool(event.urls) is (expected.url is not None)
    assert (notification.event_id is None) is case.no_event_id


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_sample_is_looked_at(name: str) -> None:
    assert list(CASES[name].samples) == list(type(make(name)).samples(NOW))


@pytest.mark.parametrize("name", PROVIDERS)
def test_samples_are_valid_json_and_differ_by_time(name: str) -> None:
    provider = type(make(name))
    for sample, later in zip(
        provider.samples(NOW).values(), provider.samples(NOW + timedelta(seconds=2)).values(), strict=True
    ):
        json.loads(sample.body)
        assert (sample.body, sample.headers) != (later.body, later.headers)


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_stored_headers_hold_what_a_replay_needs_and_the_content_encoding(name: str) -> None:
    provider = make(name)
    request = signed(provider)
    also = {"content-encoding": "gzip", "authorization": "Bearer fake", "cookie": "fake"}
    request = changed(request, also | dict(request.headers))
    stored = verify(provider, request, NOW).headers
    assert stored["content-encoding"] == "gzip"
    assert not stored.keys() & {"authorization", "cookie"}
    assert stored.keys() <= provider.info.stored_headers | {"content-encoding"}


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_verdict_names_the_source_the_scheme_and_the_times(name: str) -> None:
    provider = make(name)
    later = NOW + timedelta(seconds=5)
    found = verify(provider, signed(provider), later)
    assert (found.source, found.received_at) == ("hook", later)
    assert found.signed_at == (None if provider.info.tolerance is None else NOW)
    assert found.scheme == CASES[name].scheme


@pytest.mark.parametrize("name", SECRETS)
def test_any_secret_of_a_source_verifies(name: str) -> None:
    old, new = SECRETS[name], CASES[name].new_secret
    request = signed(make(name, secrets=secrets(old)))
    assert reason(make(name, secrets=secrets(new, old)), request) == ""
    assert reason(make(name, secrets=secrets(new)), request) in WRONG_SECRET


@pytest.mark.parametrize("name", [name for name in PROVIDERS if provider_class(name).info.tolerance is not None])
@pytest.mark.parametrize("tolerance", [None, 10.0, 0.0])
def test_a_time_too_old_or_too_new_is_refused(name: str, tolerance: float | None) -> None:
    provider = make(name, tolerance=tolerance)
    allowed = provider.info.tolerance if tolerance is None else tolerance
    assert allowed is not None
    request = signed(provider)
    assert [reason(provider, request, seconds) for seconds in (allowed, -allowed)] == ["", ""]
    assert reason(provider, request, allowed + 1) == "timestamp_too_old"
    assert reason(provider, request, -allowed - 1) == "timestamp_too_new"


@pytest.mark.parametrize(
    ("name", "header"), [(name, one) for name, case in CASES.items() for one in case.signed_headers]
)
def test_a_signed_header_that_is_missing_empty_repeated_or_changed_is_refused(name: str, header: str) -> None:
    provider = make(name)
    request = signed(provider)
    value = dict(request.headers)[header]
    assert reason(provider, without(request, header))
    assert reason(provider, changed(request, {header: ""}))
    assert reason(provider, changed(request, {header: value[:-1] + ("1" if value[-1] != "1" else "2")}))
    twice = RawRequest.of("POST", PATH, [*request.headers, (header, value)], request.body)
    assert reason(provider, twice) == "header_repeated"


@pytest.mark.parametrize(("name", "sample"), [one for one in every_sample() if one[0] not in UNSIGNED_BODIES])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_byte_of_a_signed_body_can_be_changed(name: str, sample: str, data: st.DataObject) -> None:
    provider = make(name)
    request = signed_sample(name, sample)
    at = data.draw(st.integers(0, len(request.body) - 1))
    other = request.body[at] ^ data.draw(CHANGED_BITS)
    body = request.body[:at] + bytes([other]) + request.body[at + 1 :]
    altered = changed(request, body=body)
    if CASES[name].body == "fields" and not reason(provider, altered):
        assert_same_meaning(read(provider, altered), read(provider, request))
        return
    assert reason(provider, altered) != ""


def assert_same_meaning(one: Notification, other: Notification) -> None:
    """Where values are signed and not bytes, white space may change, and fields that nobody reads."""
    assert (one.events, one.instead, one.event_id) == (other.events, other.instead, other.event_id)


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name not in UNSIGNED_BODIES])
def test_a_body_cut_short_or_prolonged_is_refused(name: str) -> None:
    provider = make(name)
    request = signed(provider)
    for body in (b"", request.body[:-1], request.body + b"}", b"{}"):
        assert reason(provider, changed(request, body=body)) != ""


def test_contentful_signs_method_and_path_too() -> None:
    provider = make("contentful")
    request = signed(provider)
    assert reason(provider, changed(request, path="/hooks/other")) == "signature_mismatch"
    assert reason(provider, RawRequest.of("PUT", PATH, request.headers, request.body)) == "signature_mismatch"


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("kind", AUTHS)
def test_a_credential_in_place_of_the_signature(name: str, kind: str) -> None:
    auth = AUTHS[kind]
    offered = kind in type(make(name)).info.auth
    if not offered:
        with pytest.raises(ValueError, match=f"does not offer {kind}"):
            make(name, auth=auth, secrets=secrets("fake-secret"))
        return
    provider = make(name, auth=auth, secrets=secrets("fake-secret", "fake-old-secret"))
    sample = next(iter(type(provider).samples(NOW).values()))
    if CASES[name].signs_beside_auth:
        assert read(provider, signed(provider)).events
        return
    request = provider.sign(sample, PATH, NOW)
    if kind == "capability":
        request = with_key_of_path(request)
    assert request.body == sample.body
    found = verify(provider, request, NOW)
    assert (found.scheme, found.signed_at) == (kind, None)
    assert "fake-secret" not in str(found.headers)
    kinds = {event.kind for event in provider.read(found).events}
    assert kinds
    assert events.AssetKind.UNKNOWN not in kinds


NOT_JSON = [b"", b"\xff", b"{", b"[" * 5000, b'{"a":' * 100 + b"1" + b"}" * 100, b"NaN", b'["\\ud800"]']


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", NOT_JSON)
def test_a_genuine_body_that_is_no_json_is_unreadable(name: str, body: bytes) -> None:
    with pytest.raises(Unreadable):
        make(name).read(verified(body))


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("body", [b"1", b'"x"', b"null", b"[]"])
def test_json_that_is_no_object_is_unreadable_or_says_nothing(name: str, body: bytes) -> None:
    try:
        notification = make(name).read(verified(body))
    except Unreadable:
        return
    assert [event.kind for event in notification.events] in ([], [events.AssetKind.UNKNOWN])
