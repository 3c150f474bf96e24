"""Prismic: the secret in the body, which is looked at and then forgotten, and documents by their ids."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.senders import AUTHS, NOW, PATH, changed, make, read, secrets, signed, verified

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

SECRET = 'fake "prismic" sécret \\'


def reason(provider: Provider, body: bytes) -> str:
    try:
        verify(provider, RawRequest.of("POST", PATH, {}, body), NOW)
    except Refused as error:
        return error.reason
    return ""


def notification(**body: Any) -> Notification:
    return make("prismic").read(verified(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"secret": "fake-new"}, ""),
        ({"secret": "fake-old"}, ""),
        ({"secret": "fake-ne"}, "credential_mismatch"),
        ({"secret": "fake-new "}, "credential_mismatch"),
        ({"secret": ""}, "credential_missing"),
        ({"secret": None}, "credential_missing"),
        ({"secret": ["fake-new"]}, "credential_missing"),
        ({"other": {"secret": "fake-new"}}, "credential_missing"),
        (["fake-new"], "credential_malformed"),
        ("fake-new", "credential_malformed"),
    ],
)
def test_the_secret(body: Any, expected: str) -> None:
    assert reason(make("prismic", secrets=secrets("fake-new", "fake-old")), json.dumps(body).encode()) == expected


@pytest.mark.parametrize("body", [b"", b"{", b'{"secret":"fake-prismic-secret"', b"\xff", b'{"secret":"\\ud800"}'])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    assert reason(make("prismic"), body) == "credential_malformed"


def test_the_secret_is_not_kept() -> None:
    provider = make("prismic", secrets=secrets(SECRET))
    request = signed(provider)
    kept = provider.stored_body(request.body)
    assert json.loads(kept) == json.loads(request.body) | {"secret": "***"}
    assert provider.read(verified(kept)).events == read(provider, request).events


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"a": 1, "secret": null}', b'{"a": 1, "secret": null}'),
        (b'[1, "secret"]', b'[1, "secret"]'),
        (b'{"\\u0073ecret":"x"}', b'{"secret":"***"}'),
        (b'{"secret":"x","secret":"y"}', b'{"secret":"***"}'),
        (b'{"secret": ["x"]}', b'{"secret":"***"}'),
        (b'{"secret" : "a\\"b", "type"', b'{"secret":"***", "type"'),
        (b'{"type":1,"secret":"cut sho', b'{"type":1,"secret":"***"'),
        (b'{"secret":"cut \\', b'{"secret":"***"'),
        (b"\xff", b"\xff"),
    ],
)
def test_what_is_kept_of_a_body(body: bytes, kept: bytes) -> None:
    assert make("prismic").stored_body(body) == kept


@given(
    body=st.binary(max_size=40) | st.integers().map(lambda number: json.dumps({"n": number, "secret": "x"}).encode())
)
def test_any_body_may_be_kept(body: bytes) -> None:
    assert b'"secret":"x"' not in make("prismic").stored_body(body)


def test_a_header_in_place_of_the_secret() -> None:
    provider = make("prismic", auth=AUTHS["header"], secrets=secrets("fake-header"))
    request = signed(provider)
    assert json.loads(request.body)["secret"] is None
    assert verify(provider, request, NOW).scheme == "header"
    with pytest.raises(Refused):
        verify(provider, changed(request, {"x-relay-key": "fake"}), NOW)


def test_every_document_is_an_event_of_its_own() -> None:
    found = notification(type="api-update", documents=["Za", "", None, {"id": "Zc"}, "Zb", "Za"])
    assert [(event.kind, event.id, event.all_urls) for event in found.events] == [
        (AssetKind.UPDATED, "Za", ()),
        (AssetKind.UPDATED, "Zb", ()),
    ]


@pytest.mark.parametrize("documents", [[], None, "Za", {}])
def test_without_documents_nothing_happened(documents: Any) -> None:
    found = notification(type="api-update", documents=documents, releases={"update": [{"id": "r"}]})
    assert found.instead == Ignored("no document was published or unpublished")


def test_the_test_button() -> None:
    assert notification(type="test-trigger").instead == events.TestPing("Prismic's test button")


def test_a_body_without_a_type_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the body has no type"):
        notification(documents=["Za"])
