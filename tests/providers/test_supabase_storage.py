"""Supabase Storage: rows of the table of objects before and after."""

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

NAME = "supabase-storage"
NEW = "new upload"
OLD = "old upload"


def row(name: Any = "a b.jpg", version: Any = NEW, **more: Any) -> dict[str, Any]:
    usual = {"bucket_id": "my-bucket", "name": name, "version": version, "updated_at": iso(NOW)}
    return usual | {"metadata": {"eTag": '"e1"', "mimetype": "image/jpeg"}} | more


def body(event_type: Any, record: Any, old_record: Any, schema: Any = "storage", table: Any = "objects") -> bytes:
    document = {"type": event_type, "schema": schema, "table": table, "record": record, "old_record": old_record}
    return json.dumps(document).encode()


def events(*given: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(body(*given))).events


def outcome(provider: Provider, request: RawRequest) -> str:
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def test_a_header_of_the_operator_s_choice() -> None:
    token = make(NAME, secrets=secrets("fake-new", "fake-old"))
    assert outcome(token, signed(make(NAME, secrets=secrets("fake-old")))) == "bearer"
    assert outcome(token, signed(make(NAME))) == "credential_mismatch"
    assert outcome(token, without(signed(token), "authorization")) == "credential_missing"
    header = make(NAME, auth=AUTHS["header"])
    assert outcome(header, signed(header)) == "header"
    assert outcome(header, signed(token)) == "credential_missing"
    assert problem(NAME, auth=AUTHS["query"])[0] == "auth"


@pytest.mark.parametrize(
    ("event_type", "record", "old_record", "expected"),
    [
        ("INSERT", row(), None, [("created", "a b.jpg")]),
        ("DELETE", None, row(), [("deleted", "a b.jpg")]),
        ("UPDATE", row(), row(version=OLD), [("updated", "a b.jpg")]),
        ("UPDATE", row(), None, [("updated", "a b.jpg")]),
        # Moved, with or without a new version.
        ("UPDATE", row("c.jpg"), row(), [("deleted", "a b.jpg"), ("updated", "c.jpg")]),
        ("UPDATE", row("c.jpg"), row(version=OLD), [("deleted", "a b.jpg"), ("updated", "c.jpg")]),
        ("UPDATE", row(bucket_id="other"), row(), [("deleted", "a b.jpg"), ("updated", "a b.jpg")]),
        # Looked at, or touched otherwise.
        ("UPDATE", row(last_accessed_at=1), row(last_accessed_at=2), []),
        ("UPDATE", row(), row(metadata={}), [("updated", "a b.jpg")]),
        # A row that tells nothing of its content may have a new one.
        ("UPDATE", row(version=None, metadata=None), row(version=None, metadata=None), [("updated", "a b.jpg")]),
        ("UPDATE", row(version=None), row(version=None), []),
        ("UPDATE", row(version=None), row(version=None, metadata={"eTag": '"e0"'}), [("updated", "a b.jpg")]),
        ("TRUNCATE", None, None, []),
        ("INSERT", None, None, []),
        ("DELETE", None, None, []),
        ("UPDATE", None, None, []),
        ("INSERT", row(name=None), None, []),
        ("INSERT", row(bucket_id=None), None, []),
        ("INSERT", row(name="a\x00"), None, []),
    ],
)
def test_rows(event_type: Any, record: Any, old_record: Any, expected: list[tuple[str, str]]) -> None:
    assert [(event.kind.value, event.key) for event in events(event_type, record, old_record)] == expected


def test_what_an_event_says() -> None:
    (event,) = events("UPDATE", row(), row(version=OLD))
    assert (event.id, event.bucket, event.urls) == (
        "my-bucket/a b.jpg",
        "my-bucket",
        ("https://img.example.com/a%20b.jpg",),
    )
    assert (event.content_hash, event.occurred_at) == (NEW, NOW)
    (event,) = events("INSERT", row(version=None), None)
    assert event.content_hash == '"e1"'
    (event,) = events("INSERT", row("a%20b.jpg"), None, key_encoding="url")
    assert event.key == "a b.jpg"


@pytest.mark.parametrize(
    ("schema", "table"), [("public", "objects"), ("storage", "buckets"), (None, None), ("objects", "storage")]
)
def test_other_tables_are_ignored(schema: Any, table: Any) -> None:
    found = make(NAME).read(verified(body("INSERT", row(), None, schema, table)))
    assert (found.events, found.instead) == (
        (),
        Ignored("nothing in it tells of an object that was written or removed"),
    )


@pytest.mark.parametrize("event_type", [None, "", 7])
def test_a_row_without_a_type_is_unreadable(event_type: Any) -> None:
    with pytest.raises(Unreadable, match="no type"):
        events(event_type, row(), None)
