"""SeaweedFS: paths of the filer, and what it calls a rename."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, make, problem, secrets, signed, verified, without

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

NAME = "seaweedfs"
PATH = "/buckets/my-bucket/a b.jpg"


def body(event_type: Any = "create", key: Any = PATH, message: Any = None) -> bytes:
    return json.dumps({"key": key, "event_type": event_type, "message": message}).encode()


def events(*given: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(body(*given))).events


def moved(parent: Any, name: Any) -> dict[str, Any]:
    return {"old_entry": {"name": "a b.jpg"}, "new_entry": {"name": name}, "new_parent_path": parent}


def outcome(provider: Provider, request: RawRequest) -> str:
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def test_a_token() -> None:
    provider = make(NAME, secrets=secrets("fake-new", "fake-old"))
    assert outcome(provider, signed(make(NAME, secrets=secrets("fake-old")))) == "bearer"
    assert outcome(provider, signed(make(NAME))) == "credential_mismatch"
    assert outcome(provider, without(signed(provider), "authorization")) == "credential_missing"
    assert problem(NAME, auth=AUTHS["basic"])[0] == "auth"


@pytest.mark.parametrize(
    ("event_type", "message", "expected"),
    [
        ("create", None, [("updated", "a b.jpg")]),
        ("update", {}, [("updated", "a b.jpg")]),
        ("delete", {"old_entry": {"name": "a b.jpg"}}, [("deleted", "a b.jpg")]),
        ("rename", moved("/buckets/my-bucket", "a b.jpg"), [("updated", "a b.jpg")]),
        ("rename", moved("/buckets/my-bucket/", "a b.jpg"), [("updated", "a b.jpg")]),
        ("rename", moved("/buckets/my-bucket/x", "c.jpg"), [("deleted", "a b.jpg"), ("updated", "x/c.jpg")]),
        ("rename", moved("/trash", "c.jpg"), [("deleted", "a b.jpg")]),
        ("rename", moved(None, "c.jpg"), [("updated", "a b.jpg")]),
        ("rename", moved("/buckets/my-bucket", None), [("updated", "a b.jpg")]),
        ("rename", None, [("updated", "a b.jpg")]),
        ("invented", None, []),
        (None, None, []),
        (7, None, []),
        ("create", {"new_entry": {"is_directory": True}}, []),
        ("delete", {"old_entry": {"is_directory": True}}, []),
        ("create", {"new_entry": {"is_directory": False}}, [("updated", "a b.jpg")]),
    ],
)
def test_what_happened(event_type: Any, message: Any, expected: list[tuple[str, str]]) -> None:
    assert [(event.kind.value, event.key) for event in events(event_type, PATH, message)] == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/buckets/my-bucket/x/y.jpg", ("my-bucket", "x/y.jpg")),
        ("/buckets/my-bucket//y.jpg", ("my-bucket", "/y.jpg")),
        ("/buckets/other/y.jpg", ("other", "y.jpg")),
        ("/buckets/my-bucket", None),
        ("/buckets/my-bucket/", None),
        ("/buckets//y.jpg", None),
        ("/home/y.jpg", None),
        ("/buckets/my-bucket/.uploads/1f/0001.part", None),
        ("/buckets/my-bucket/a\nb", None),
    ],
)
def test_paths(path: str, expected: tuple[str, str] | None) -> None:
    found = events("create", path)
    assert [(event.bucket, event.key) for event in found] == ([] if expected is None else [expected])


def test_what_an_event_says() -> None:
    (event,) = events()
    assert (event.id, event.urls) == ("my-bucket/a b.jpg", ("https://img.example.com/a%20b.jpg",))
    assert (event.occurred_at, event.content_hash) == (None, None)
    (event,) = events("create", "/buckets/my-bucket/a%20b.jpg", None, key_encoding="url")
    assert event.key == "a b.jpg"
    assert isinstance(make(NAME).read(verified(body("invented"))).instead, Ignored)


@pytest.mark.parametrize("key", [None, "", 7, []])
def test_a_body_without_a_path_is_unreadable(key: Any) -> None:
    with pytest.raises(Unreadable, match="no key"):
        events("create", key)
