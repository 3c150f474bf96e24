"""Backblaze B2: the signature's one spelling, kinds of events, batches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NOW, changed, make, problem, secrets, signed, source, verified, without

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.backblaze_b2 import BackblazeB2
from service.providers.verification import verify

NAME = "backblaze-b2"
SIGNATURE = "x-bz-event-notification-signature"


def one(event_type: Any = "b2:ObjectCreated:Upload", **more: Any) -> dict[str, Any]:
    usual = {
        "bucketName": "my-bucket",
        "eventId": "e1",
        "eventTimestamp": 1684793309123,
        "eventType": event_type,
        "objectName": "a+b c.jpg",
        "objectVersionId": "4_z1",
    }
    return {name: value for name, value in (usual | more).items() if value is not None}


def body(*events: Any) -> bytes:
    return json.dumps({"events": events}).encode()


def read(*events: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(body(*events))).events


def reason(request: RawRequest) -> str:
    try:
        verify(make(NAME), request, NOW)
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("v1={0}", ""),
        ("{0}", "signature_malformed"),
        ("v2={0}", "signature_malformed"),
        ("V1={0}", "signature_malformed"),
        ("v1= {0}", "signature_malformed"),
        ("v1={0},v1={0}", "signature_malformed"),
        ("v1={1}", "signature_malformed"),
        ("v1=", "signature_malformed"),
        ("v1=" + "0" * 64, "signature_mismatch"),
        ("", "signature_missing"),
    ],
)
def test_the_signature_has_one_spelling(spelling: str, expected: str) -> None:
    request = signed(make(NAME))
    given = dict(request.headers)[SIGNATURE].removeprefix("v1=")
    assert reason(changed(request, {SIGNATURE: spelling.format(given, given.upper())})) == expected


def test_an_unsigned_request_is_refused() -> None:
    assert reason(without(signed(make(NAME)), SIGNATURE)) == "signature_missing"


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("b2:ObjectCreated:Upload", "updated"),
        ("b2:ObjectCreated:MultipartUpload", "updated"),
        ("b2:ObjectCreated:Copy", "updated"),
        ("b2:ObjectCreated:Replica", "updated"),
        ("b2:ObjectCreated:MultipartReplica", "updated"),
        ("b2:ObjectDeleted:Delete", "deleted"),
        ("b2:ObjectDeleted:LifecycleRule", "deleted"),
        ("b2:HideMarkerCreated:Hide", "deleted"),
        ("b2:HideMarkerCreated:LifecycleRule", "deleted"),
        ("b2:MultipartUploadCreated:LiveRead", None),
        ("b2:ObjectCreated", None),
        ("b2:Invented:Upload", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_types_of_events(event_type: Any, kind: str | None) -> None:
    assert [event.kind.value for event in read(one(event_type))] == ([] if kind is None else [kind])


def test_what_an_event_says() -> None:
    (event,) = read(one())
    assert (event.id, event.bucket, event.key) == ("my-bucket/a+b c.jpg", "my-bucket", "a+b c.jpg")
    assert event.urls == ("https://img.example.com/a%2Bb%20c.jpg", "https://img.example.com/a+b%20c.jpg")
    assert event.content_hash == "4_z1"
    assert event.occurred_at is not None
    assert event.occurred_at.isoformat() == "2023-05-22T22:08:29.123000+00:00"


@pytest.mark.parametrize(
    ("settings", "key", "urls"),
    [
        ({"key_encoding": "form"}, "a b c.jpg", ("https://img.example.com/a%20b%20c.jpg",)),
        ({"bases": {"other": "https://x/"}}, "a+b c.jpg", ()),
        ({"bases": {}}, "a+b c.jpg", ()),
    ],
)
def test_options(settings: Mapping[str, Any], key: str, urls: tuple[str, ...]) -> None:
    (event,) = read(one(), **settings)
    assert (event.key, event.urls) == (key, urls)


def test_what_names_no_object_is_left_out() -> None:
    broken = [None, 1, one(bucketName=None), one(objectName=None), one(objectName=""), one(objectName="a\nb")]
    found = make(NAME).read(verified(body(*broken)))
    assert (found.events, found.instead) == (
        (),
        Ignored("no event tells of an object that was written or removed"),
    )
    assert len(read(*broken, one(), one("b2:ObjectDeleted:Delete", objectName="d.jpg"))) == 2


def test_the_test_event() -> None:
    found = make(NAME).read(verified(body({"eventType": "b2:TestEvent", "eventId": "t1"})))
    assert (found.events, found.instead, found.event_id) == ((), events.TestPing("the test event of a rule"), "t1")


@pytest.mark.parametrize("document", [{}, {"events": None}, {"events": {}}])
def test_a_body_without_a_list_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable, match="no list of events"):
        make(NAME).read(verified(json.dumps(document).encode()))


def test_a_batch_is_known_by_the_ids_of_its_events() -> None:
    def event_id(*ids: str | None) -> str | None:
        return make(NAME).read(verified(body(*(one(eventId=identity) for identity in ids)))).event_id

    assert event_id("e1") == "e1"
    assert event_id("e1", "e2") == event_id("e2", "e1") not in (None, "e1", event_id("e1", "e3"))
    assert event_id("e1", None) is None
    assert event_id(None) is None
    assert event_id() is None


@pytest.mark.parametrize(
    ("settings", "warned"), [({}, False), ({"bases": {}}, True), ({"bases": {}, "rules": [{"name": "x"}]}, False)]
)
def test_without_bases_nothing_has_a_url(settings: Mapping[str, Any], warned: bool) -> None:
    assert bool(BackblazeB2.warnings(source(NAME, **settings))) is warned


def test_settings_that_do_not_suit() -> None:
    assert problem(NAME, bases={"a": "x"})[0] == "bases"
    assert problem(NAME, tolerance=60.0)[0] == "tolerance"
    assert problem(NAME, secrets=secrets(""))[0] == "secrets"
