"""MinIO: its tokens, its keys, and that both its spellings of an event's name are known."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, changed, make, problem, secrets, signed, verified, without
from support.sns import record

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

NAME = "minio"


def one(name: str = "s3:ObjectCreated:Put", key: str = "a%2Fb+c%2B%C3%BC.jpg", **more: Any) -> dict[str, Any]:
    return record(name, key, **{"eventSource": "minio:s3"} | more)


def body(*records: Any) -> bytes:
    return json.dumps({"EventName": "s3:ObjectCreated:Put", "Key": "my-bucket/x", "Records": records}).encode()


def events(*records: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(body(*records))).events


def outcome(provider: Provider, request: RawRequest) -> str:
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ("Bearer {}", "bearer"),
        ("bearer {}", "bearer"),
        ("Bearer {}x", "credential_mismatch"),
        ("Bearer ", "credential_mismatch"),
        ("{}", "credential_malformed"),
        ("Basic {}", "credential_malformed"),
    ],
)
def test_a_token(authorization: str, expected: str) -> None:
    provider = make(NAME)
    request = changed(signed(provider), {"authorization": authorization.format("fake-minio-token")})
    assert outcome(provider, request) == expected


def test_no_token_and_an_older_one() -> None:
    provider = make(NAME, secrets=secrets("fake-new", "fake-old"))
    assert outcome(provider, without(signed(provider), "authorization")) == "credential_missing"
    assert outcome(provider, signed(make(NAME, secrets=secrets("fake-old")))) == "bearer"


def test_a_token_of_two_words() -> None:
    provider = make(NAME, auth=AUTHS["basic"])
    assert outcome(provider, signed(provider)) == "basic"
    assert outcome(provider, signed(make(NAME))) == "credential_malformed"
    assert problem(NAME, auth=AUTHS["query"])[0] == "auth"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("s3:ObjectCreated:Put", "updated"),
        ("s3:ObjectCreated:CompleteMultipartUpload", "updated"),
        ("ObjectCreated:Copy", "updated"),
        ("s3:ObjectRemoved:Delete", "deleted"),
        ("s3:ObjectRemoved:DeleteMarkerCreated", "deleted"),
        ("s3:ObjectAccessed:Get", None),
        ("s3:ObjectCreated", "updated"),
        ("s3:Replication:OperationFailedReplication", None),
    ],
)
def test_names_of_events(name: str, kind: str | None) -> None:
    assert [event.kind.value for event in events(one(name))] == ([] if kind is None else [kind])


def test_what_a_record_says() -> None:
    (event,) = events(one())
    assert (event.bucket, event.key) == ("my-bucket", "a/b c+ü.jpg")
    assert event.urls == (
        "https://img.example.com/a/b%20c%2B%C3%BC.jpg",
        "https://img.example.com/a/b%20c+%C3%BC.jpg",
    )
    assert (event.content_hash, event.occurred_at) == ("d41d8cd98f00b204e9800998ecf8427e", NOW)
    (event,) = events(one(eventSource="rustfs:s3"))
    assert event.key == "a/b c+ü.jpg"
    (event,) = events(one(), key_encoding="verbatim")
    assert event.key == "a%2Fb+c%2B%C3%BC.jpg"


def test_a_read_is_ignored_and_no_records_are_unreadable() -> None:
    found = make(NAME).read(verified(body(one("s3:ObjectAccessed:Get"))))
    assert isinstance(found.instead, Ignored)
    assert found.event_id is None
    with pytest.raises(Unreadable, match="no list of Records"):
        make(NAME).read(verified(b"{}"))


def test_a_look_whether_somebody_is_there() -> None:
    provider = make(NAME)
    greeting = provider.greeting(RawRequest.of("HEAD", "/hooks/hook", {}, b""), NOW)
    assert greeting is not None
    assert (greeting.status, greeting.body, greeting.headers) == (200, b"", {})
    assert provider.greeting(signed(provider), NOW) is None
    assert provider.info.handshake_methods == ("HEAD",)
