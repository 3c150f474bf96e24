"""Tigris: names of events, quoted eTags, renames."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, make, problem, secrets, signed, verified, without

from service.domain.clock import iso
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

NAME = "tigris"


def one(name: Any = "OBJECT_CREATED_PUT", **more: Any) -> dict[str, Any]:
    usual = {"eventName": name, "eventTime": iso(NOW), "bucket": "my-bucket"}
    return usual | {"object": {"key": "a+b c.jpg", "size": 1, "eTag": '"e1"'}} | more


def body(*events: Any) -> bytes:
    return json.dumps({"events": events}).encode()


def events(*given: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(body(*given))).events


def outcome(provider: Provider, request: RawRequest) -> str:
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def test_a_token_or_a_user() -> None:
    token, user = make(NAME, secrets=secrets("fake-new", "fake-old")), make(NAME, auth=AUTHS["basic"])
    assert outcome(token, signed(make(NAME, secrets=secrets("fake-old")))) == "bearer"
    assert outcome(token, signed(make(NAME))) == "credential_mismatch"
    assert outcome(token, without(signed(token), "authorization")) == "credential_missing"
    assert outcome(user, signed(user)) == "basic"
    assert outcome(user, signed(token)) == "credential_malformed"
    assert problem(NAME, auth=AUTHS["header"])[0] == "auth"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("OBJECT_CREATED_PUT", "updated"),
        ("OBJECT_CREATED_MULTIPART", "updated"),
        ("OBJECT_CREATED_COPY", "updated"),
        ("OBJECT_DELETED", "deleted"),
        ("OBJECT_RENAMED", "renamed"),
        ("OBJECT_DELETED_LATER", None),
        ("OBJECT_INVENTED", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_names_of_events(name: Any, kind: str | None) -> None:
    assert [event.kind.value for event in events(one(name))] == ([] if kind is None else [kind])


@pytest.mark.parametrize(("etag", "content_hash"), [('"e1"', "e1"), ("e1", "e1"), ("", None), ('""', None), (7, None)])
def test_an_etag_comes_in_quotes(etag: Any, content_hash: str | None) -> None:
    (event,) = events(one(object={"key": "a.jpg", "eTag": etag}))
    assert event.content_hash == content_hash


def test_what_an_event_says() -> None:
    (event,) = events(one())
    assert (event.id, event.bucket, event.key) == ("my-bucket/a+b c.jpg", "my-bucket", "a+b c.jpg")
    assert event.urls == ("https://img.example.com/a%2Bb%20c.jpg", "https://img.example.com/a+b%20c.jpg")
    assert event.occurred_at == NOW
    (event,) = events(one(), key_encoding="form")
    assert event.key == "a b c.jpg"


def test_what_names_no_object_is_left_out() -> None:
    broken = [None, 1, one(bucket=None), one(object=None), one(object={"key": "a\x00"})]
    assert [event.key for event in events(*broken, one(), one("OBJECT_DELETED"))] == ["a+b c.jpg"] * 2
    assert isinstance(make(NAME).read(verified(body(*broken))).instead, Ignored)


@pytest.mark.parametrize("document", [{}, {"events": None}, {"events": {}}])
def test_a_body_without_a_list_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable, match="no list of events"):
        make(NAME).read(verified(json.dumps(document).encode()))
