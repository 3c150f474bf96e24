"""Ceph's gateway: which credentials it can carry, keys as they are, ids of events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NOW, changed, make, problem, read, secrets, signed, source, verified, without
from support.sns import record

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored
from service.providers.ceph_rgw import CephRgw
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Auth, Source

NAME = "ceph-rgw"


def body(*records: Any) -> bytes:
    return json.dumps({"Records": records}).encode()


def one(name: str = "ObjectCreated:Put", key: str = "a+b %41.jpg", **more: Any) -> dict[str, Any]:
    return record(name, key, **{"eventSource": "ceph:s3"} | more)


def events(*records: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return make(NAME, **settings).read(verified(body(*records))).events


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (None, "a gateway signs nothing: choose `basic: USER` or `query: NAME`"),
        (AUTHS["bearer"], "ceph-rgw does not offer bearer (offered: basic, query, capability)"),
        (AUTHS["header"], "ceph-rgw does not offer header (offered: basic, query, capability)"),
    ],
)
def test_only_what_a_push_endpoint_can_carry(auth: Auth | None, words: str) -> None:
    assert problem(NAME, auth=auth) == ("auth", words)


def test_a_secret_in_the_query_is_not_shown() -> None:
    provider = make(NAME, auth=AUTHS["query"])
    request = signed(provider)
    assert verify(provider, request, NOW).scheme == "query"
    assert provider.stored_path(request.path).endswith("?code=***")
    with pytest.raises(Refused, match="came 2 times"):
        verify(provider, changed(request, path=f"{request.path}&code=x"), NOW)


def test_a_wrong_password_and_none() -> None:
    provider = make(NAME)
    request = signed(make(NAME, secrets=secrets("fake-other")))
    for refused, reason in (
        (request, "credential_mismatch"),
        (without(request, "authorization"), "credential_missing"),
    ):
        with pytest.raises(Refused) as found:
            verify(provider, refused, NOW)
        assert found.value.reason == reason


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ObjectCreated:Put", "updated"),
        ("ObjectCreated:CompleteMultipartUpload", "updated"),
        ("s3:ObjectCreated:Copy", "updated"),
        ("ObjectRemoved:Delete", "deleted"),
        ("ObjectRemoved:DeleteMarkerCreated", "deleted"),
        ("ObjectSynced:Create", None),
    ],
)
def test_names_of_events(name: str, kind: str | None) -> None:
    assert [event.kind.value for event in events(one(name))] == ([] if kind is None else [kind])


def test_a_key_is_what_it_says_whatever_the_record_calls_its_source() -> None:
    for source_name in ("ceph:s3", "other", None):
        (event,) = events(one(eventSource=source_name))
        assert event.key == "a+b %41.jpg"
    (event,) = events(one(), key_encoding="form")
    assert event.key == "a b A.jpg"


def test_what_a_record_says() -> None:
    (event,) = events(one())
    assert (event.id, event.bucket) == ("my-bucket/a+b %41.jpg", "my-bucket")
    assert event.urls[0] == "https://img.example.com/a%2Bb%20%2541.jpg"
    assert (event.content_hash, event.occurred_at) == ("d41d8cd98f00b204e9800998ecf8427e", NOW)


@pytest.mark.parametrize(
    ("ids", "expected"), [(["1.2.e"], "1.2.e"), ([None], None), (["1.2.e", None], None), ([], None), ([7], None)]
)
def test_the_id_of_an_event(ids: list[Any], expected: str | None) -> None:
    records = [one(eventId=identity) for identity in ids]
    assert make(NAME).read(verified(body(*records))).event_id == expected


def test_nothing_about_an_object() -> None:
    found = make(NAME).read(verified(body(one("ObjectSynced:Create"))))
    assert (found.events, found.instead) == (
        (),
        Ignored("nothing in it tells of an object that was written or removed"),
    )


@pytest.mark.parametrize("document", [{}, {"Records": None}, {"Records": {}}])
def test_a_body_without_records_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable, match="no list of Records"):
        make(NAME).read(verified(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("settings", "warned"), [({}, False), ({"bases": {}}, True), ({"bases": {}, "rules": [{"name": "x"}]}, False)]
)
def test_without_bases_nothing_has_a_url(settings: Mapping[str, Any], warned: bool) -> None:
    assert bool(CephRgw.warnings(source(NAME, **settings))) is warned


def test_a_capability_s_url() -> None:
    auth = Auth(capability=True)
    provider = build(NAME, Source(provider=NAME, auth=auth, secrets=secrets("fake-secret"), bases={"my-bucket": "/i"}))
    (event,) = provider.read(verified(signed(provider).body)).events
    assert event.urls == ("/i/products/red%20hero.jpg",)


def test_the_sample_is_read_as_a_gateway_s() -> None:
    assert read(make(NAME), signed(make(NAME))).event_id is not None
