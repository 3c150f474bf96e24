"""Oracle's Notifications: the secret in the URL, the request for consent, and events of objects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, make, problem, signed, verified

from service.domain import events as domain
from service.domain.clock import iso
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

NAME = "oracle-ons"


def event_of(what: Any = "com.oraclecloud.objectstorage.updateobject", **more: Any) -> dict[str, Any]:
    details = {"bucketName": "my-bucket", "namespace": "n", "eTag": "e1"}
    data = {"resourceName": "a+b %20.jpg", "additionalDetails": details}
    return {"eventType": what, "eventTime": iso(NOW), "eventID": "e-1", "data": data} | more


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def events(document: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(body(document))).events


def outcome(provider: Provider, request: RawRequest) -> str:
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def test_the_url_is_the_credential_or_holds_it() -> None:
    usual = make(NAME)
    assert outcome(usual, signed(usual)) == "capability"
    assert outcome(usual, RawRequest.of("POST", "/hooks/hook", {"x-oci-ns-signature": "AAAA"}, b"{}")) == (
        "credential_missing"
    )
    for kind in ("basic", "query"):
        provider = make(NAME, auth=AUTHS[kind])
        assert outcome(provider, signed(provider)) == kind
        assert outcome(provider, signed(usual)) == "credential_missing"
    assert problem(NAME, auth=AUTHS["header"])[0] == "auth"


def test_the_request_for_consent_is_kept_for_a_person() -> None:
    found = make(NAME).read(verified(body({"ConfirmationURL": "http://169.254.169.254/"})))
    assert isinstance(found.instead, domain.TestPing)
    assert "open the ConfirmationURL" in found.instead.reason
    assert "169.254" not in found.instead.reason
    assert found.payload == {"ConfirmationURL": "http://169.254.169.254/"}


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("com.oraclecloud.objectstorage.createobject", "updated"),
        ("com.oraclecloud.objectstorage.updateobject", "updated"),
        ("com.oraclecloud.objectstorage.deleteobject", "deleted"),
        ("com.oraclecloud.objectstorage.createbucket", None),
        ("com.oraclecloud.computeapi.launchinstance.end", None),
    ],
)
def test_types_of_events(event_type: str, kind: str | None) -> None:
    assert [event.kind.value for event in events(event_of(event_type))] == ([] if kind is None else [kind])


def test_what_an_event_says() -> None:
    (event,) = events(event_of())
    assert (event.id, event.bucket, event.key) == ("my-bucket/a+b %20.jpg", "my-bucket", "a+b %20.jpg")
    assert event.urls[0] == "https://img.example.com/a%2Bb%20%2520.jpg"
    assert (event.occurred_at, event.content_hash) == (NOW, "e1")
    assert make(NAME).read(verified(body(event_of()))).event_id == "e-1"
    (event,) = events(event_of(), key_encoding="url")
    assert event.key == "a+b  .jpg"


@pytest.mark.parametrize("data", [None, {}, {"resourceName": "a\n", "additionalDetails": {"bucketName": "b"}}])
def test_what_names_no_object_is_ignored(data: Any) -> None:
    assert isinstance(make(NAME).read(verified(body(event_of(data=data)))).instead, Ignored)


@pytest.mark.parametrize("document", [{}, event_of(None), event_of(7), []])
def test_another_payload_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        events(document)
