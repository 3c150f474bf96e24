"""Alibaba's Simple Message Queue: whose signature, over what, for which topic; its formats; OSS's events."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.senders import AUTHS, NOW, PATH, changed, make, private_pem, problem, rsa_key, secrets, signed, verified
from support.vectors import cases, request_of, verdict

from service.domain.clock import iso, parse_moment
from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.mns_message import MESSAGE_ID
from service.providers.verification import verify
from service.settings.model import Auth

NAME = "alibaba-oss-mns"
MNS_TEST = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem"
XML = {"content-type": "text/xml;charset=utf-8"}


def event_of(event_name: Any = "ObjectCreated:PutObject", key: Any = "a+b %20.jpg", **more: Any) -> dict[str, Any]:
    oss = {"bucket": {"name": "my-bucket"}, "object": {"key": key, "eTag": "E1"}}
    return {"eventName": event_name, "eventTime": iso(NOW), "oss": oss, "responseElements": {"requestId": "R1"}} | more


def message(*events: Any) -> str:
    return json.dumps({"events": events})


def xml(content: str, **fields: str | None) -> bytes:
    usual = {"TopicOwner": "1234567890", "TopicName": "image-events", "MessageId": "M1", "Message": content}
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in (usual | fields).items() if value is not None)
    return f"<Notification>{inner}</Notification>".encode()


def resigned(
    body: bytes, headers: Mapping[str, str] | None = None, path: str = PATH, method: str = "POST", now: datetime = NOW
) -> RawRequest:
    """A request signed as Alibaba describes it, written down a second time."""
    usual = {
        "content-md5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).hexdigest().encode()).decode(),
        "content-type": "text/plain",
        "date": now.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "x-mns-signing-cert-url": base64.b64encode(MNS_TEST.encode()).decode(),
        "x-mns-version": "2015-06-06",
    } | dict(headers or {})
    lines = [method, *(usual.get(name, "") for name in ("content-md5", "content-type", "date"))]
    lines += sorted(f"{name}:{value}" for name, value in usual.items() if name.startswith("x-mns-"))
    signature = sign("\n".join([*lines, path]).encode())
    return RawRequest.of(method, path, {**usual, "authorization": signature}, body)


def sign(text: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1

    return base64.b64encode(rsa_key().sign(text, PKCS1v15(), SHA1())).decode()  # noqa: S303 - as Alibaba signs


def outcome(provider: Provider, request: RawRequest, now: datetime = NOW, key: bytes | None = None) -> str:
    try:
        provider.key_urls(request)
        return verify(provider, request, now, key).scheme
    except Refused as error:
        return error.reason


def read(body: bytes | str, headers: Mapping[str, str] | None = None, **settings: Any) -> Notification:
    raw = body if isinstance(body, bytes) else body.encode()
    return make(NAME, **settings).read(verified(raw, headers))


def events(*given: Any, **settings: Any) -> tuple[AssetEvent, ...]:
    return read(message(*given), **settings).events


@pytest.mark.parametrize("case", cases(NAME))
@pytest.mark.parametrize("pinned", [True, False])
def test_vectors(case: Mapping[str, Any], pinned: bool) -> None:
    """Recorded in the format SIMPLIFIED: the secret in the URL stands in for the topic."""
    certificate = case["cert"].encode()
    keys = secrets(case["cert"]) if pinned else []
    provider = make(NAME, auth=Auth(query="s"), secrets=secrets("1"), topics=[], public_keys=keys)
    now = parse_moment(case["config"]["now"])
    assert (verdict(provider, case, now, None if pinned else certificate) == "accepted") is case["valid"]


@pytest.mark.parametrize("case", [one for one in cases(NAME) if one.values[0].get("expect")])
def test_the_objects_of_vectors(case: Mapping[str, Any]) -> None:
    request = request_of(case)
    found = read(request.body, request.header_map(make(NAME).info.stored_headers))
    (event,), (expected,) = found.events, case["expect"]
    assert (event.bucket, event.key, event.kind.value) == (expected["bucket"], expected["key"], "updated")
    assert found.event_id == expected["dedup"]


def test_either_spelling_of_the_md5_binds_the_body() -> None:
    body = xml(message(event_of()))
    raw = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    assert outcome(make(NAME), resigned(body)) == "alibaba-oss-mns"
    assert outcome(make(NAME), resigned(body, {"content-md5": raw})) == "alibaba-oss-mns"
    assert outcome(make(NAME), resigned(body, {"content-md5": "AAAA"})) == "body_mismatch"
    assert outcome(make(NAME), resigned(body, {"content-md5": "?"})) == "signature_malformed"
    assert outcome(make(NAME), changed(resigned(body), body=body + b" ")) == "body_mismatch"


def test_method_path_and_every_header_of_theirs_are_signed() -> None:
    request = resigned(xml(message()))
    assert outcome(make(NAME), changed(request, path=f"{PATH}?a=b")) == "signature_mismatch"
    other = RawRequest.of("PUT", PATH, request.headers, request.body)
    assert outcome(make(NAME), other) == "signature_mismatch"
    for header in ("x-mns-message-tag", "x-mns-new"):
        assert outcome(make(NAME), changed(request, {header: "x"})) == "signature_mismatch"
        assert outcome(make(NAME), resigned(request.body, {header: "x"})) == "alibaba-oss-mns"
    assert outcome(make(NAME), resigned(request.body, {"content-type": ""})) == "alibaba-oss-mns"
    assert outcome(make(NAME), changed(request, {"x-mns-new": "\u00fc"})) == "signature_malformed"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Tue, 24 Nov 2026 12:00:00 GMT", "alibaba-oss-mns"),
        ("Tue, 24 Nov 2026 11:44:59 GMT", "timestamp_too_old"),
        ("Tue, 24 Nov 2026 12:15:01 GMT", "timestamp_too_new"),
        ("Tue, 31 Feb 2026 12:00:00 GMT", "timestamp_malformed"),
        ("Tue, 24 Nov 2026 12:00:00 +0100", "timestamp_malformed"),
        ("Tue, 24 Nov 9999 12:00:00 GMT", "timestamp_malformed"),
        ("1795521600", "timestamp_malformed"),
    ],
)
def test_dates(date: str, expected: str) -> None:
    assert outcome(make(NAME), resigned(xml(message()), {"date": date})) == expected


@pytest.mark.parametrize(
    ("region", "url", "allowed"),
    [
        (None, MNS_TEST, True),
        (None, "https://mns-cert.oss-eu-central-1.aliyuncs.com/x509_public_certificate.pem", True),
        (None, "https://mns-cert.oss-cn-shanghai-finance-1.aliyuncs.com/a.pem", True),
        ("eu-central-1", "https://mns-cert.oss-eu-central-1.aliyuncs.com/a.pem", True),
        ("eu-central-1", "https://mns-cert.oss-us-west-1.aliyuncs.com/a.pem", False),
        (None, "http://mns-cert.oss-eu-central-1.aliyuncs.com/a.pem", False),
        (None, "https://mns-cert.oss-evil.aliyuncs.com.evil.example/x.pem", False),
        (None, "https://evil.mns-cert.oss-eu-central-1.aliyuncs.com/a.pem", False),
        (None, "https://mns-cert.oss-eu-central-1.aliyuncs.com\\@evil.example/a.pem", False),
        (None, "https://mns-cert.oss-eu-central-1.aliyuncs.com/../evil/a.pem", False),
        (None, "https://mns-cert.oss-eu-central-1.aliyuncs.com/a.pem?x=.pem", False),
        (None, "https://mns-cert.oss-eu-central-1.aliyuncs.com/a.pem\n", False),
        (None, "https://mnstest.oss-us-west-1.aliyuncs.com/a.pem", False),
        (None, "https://my-bucket.oss-cn-hangzhou.aliyuncs.com/a.pem", False),
    ],
)
def test_certificates_come_from_two_hosts_of_alibaba_s(region: str | None, url: str, allowed: bool) -> None:
    given = base64.b64encode(url.encode()).decode()
    request = resigned(xml(message()), {"x-mns-signing-cert-url": given})
    provider = make(NAME, region=region, public_keys=[])
    if allowed:
        assert provider.key_urls(request) == (url,)
    for judge in (provider, make(NAME, region=region)):
        said = outcome(judge, request)
        assert (said == "certificate_url_refused") is not allowed, said


def test_a_certificate_that_is_not_at_hand_or_none() -> None:
    request = resigned(xml(message()))
    provider = make(NAME, public_keys=[])
    assert outcome(provider, request) == "certificate_missing"
    assert outcome(provider, request, key=b"<html>") == "certificate_unreadable"
    assert make(NAME).key_urls(request) == ()


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (xml(message()), {}, "alibaba-oss-mns"),
        (xml(message(), TopicName="other"), {}, "topic_not_allowed"),
        (xml(message(), TopicOwner="666"), {}, "topic_not_allowed"),
        (xml(message(), TopicOwner=None), {}, "topic_missing"),
        (xml(message()), {MESSAGE_ID: "M1"}, "topic_missing"),
        (message(event_of()).encode(), {}, "topic_missing"),
        (b"<Notification>", {}, "message_malformed"),
        (b"", {}, "message_malformed"),
        (json.dumps({"Message": "{}", "TopicOwner": "1234567890", "TopicName": "image-events"}).encode(), {}, NAME),
    ],
)
def test_only_the_topics_of_the_source_may_speak(body: bytes, headers: dict[str, str], expected: str) -> None:
    """In the format SIMPLIFIED the whole body is the publisher's, who may write another's frame into it."""
    assert outcome(make(NAME), resigned(body, headers)) == expected


def test_a_secret_in_the_url_stands_beside_the_signature() -> None:
    provider = make(NAME, auth=AUTHS["query"], secrets=secrets("fake-secret"), topics=[])
    request = resigned(message(event_of()).encode(), {MESSAGE_ID: "M1"}, f"{PATH}?code=fake-secret")
    assert outcome(provider, request) == "alibaba-oss-mns"
    assert outcome(provider, changed(request, path=PATH)) == "credential_missing"
    assert outcome(provider, resigned(request.body, path=f"{PATH}?code=x")) == "credential_mismatch"
    assert outcome(provider, changed(request, {"authorization": "AAAA"})) == "signature_mismatch"
    with_topics = make(NAME, auth=AUTHS["query"], secrets=secrets("fake-secret"))
    assert outcome(with_topics, request) == "alibaba-oss-mns"
    framed = resigned(xml(message(), TopicName="other"), path=f"{PATH}?code=fake-secret")
    assert outcome(with_topics, framed) == "topic_not_allowed"
    assert outcome(provider, framed) == "alibaba-oss-mns"
    stranger = make(NAME, auth=AUTHS["query"], secrets=secrets("fake-secret"), public_keys=[])
    assert outcome(stranger, changed(request, path=PATH)) == "credential_missing"


@pytest.mark.parametrize("kind", ["query", "capability"])
def test_samples_for_a_secret_url_are_in_the_simplified_format(kind: str) -> None:
    provider = make(NAME, auth=AUTHS[kind], secrets=secrets("fake-secret"), topics=[])
    request = signed(provider)
    assert request.body.startswith(b"{")
    assert outcome(provider, request) == "alibaba-oss-mns"
    assert provider.read(verify(provider, request, NOW)).event_id == request.header(MESSAGE_ID)


def test_a_sample_takes_a_key() -> None:
    with pytest.raises(CommandFailed, match="--signing-key"):
        make(NAME).sign(Sample(b"{}"), PATH, NOW)
    unsigned = make(NAME, topics=[], public_keys=[], unverified=True)
    request = unsigned.sign(Sample(b"{}"), PATH, NOW, private_pem(rsa_key()))
    assert request.headers == ()
    assert unsigned.key_urls(request) == ()
    assert outcome(unsigned, request) == "unverified"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"topics": []}, "topics"),
        ({"topics": ["image-events"]}, "topics"),
        ({"topics": ["acs:mns:cn-hangzhou:1:topics/x"]}, "topics"),
        ({"region": "hangzhou"}, "region"),
        ({"region": "x.evil.example/"}, "region"),
        ({"secrets": secrets("fake-secret")}, "secrets"),
        ({"bases": {"b": "x"}}, "bases"),
    ],
)
def test_settings_that_do_not_suit(settings: dict[str, Any], key: str) -> None:
    assert problem(NAME, **settings)[0] == key


def test_without_bases_nothing_has_a_url() -> None:
    provider = make(NAME)
    assert type(provider).warnings(provider.source) == []
    assert type(provider).warnings(make(NAME, bases={}).source)


@pytest.mark.parametrize(
    "body",
    [
        xml(message(event_of())),
        xml(base64.b64encode(message(event_of()).encode()).decode()),
        json.dumps({"Message": message(event_of()), "MessageId": "M1"}).encode(),
        base64.b64encode(message(event_of()).encode()),
        message(event_of()).encode(),
    ],
)
def test_formats(body: bytes) -> None:
    headers = {} if b"M1" in body else {MESSAGE_ID: "M1"}
    found = read(body, headers)
    assert [event.key for event in found.events] == ["a+b %20.jpg"]
    assert found.event_id == "M1"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"<Notification><MessageId>M1</MessageId></Notification>", {}),
        (b"<!DOCTYPE a><Notification/>", {}),
        (xml("no message of OSS"), {}),
        (xml("e30"), {}),
        (b"[]", {MESSAGE_ID: "M1"}),
        (b"{}", {MESSAGE_ID: "M1"}),
        (b"[1]", {}),
        (b"\xff", {MESSAGE_ID: "M1"}),
    ],
)
def test_what_is_unreadable(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        read(body, headers)


@pytest.mark.parametrize(
    ("event_name", "kind"),
    [
        ("ObjectCreated:PutObject", "updated"),
        ("ObjectCreated:AppendObject", "updated"),
        ("ObjectCreated:CompleteMultipartUpload", "updated"),
        ("ObjectCreated:UploadPart", None),
        ("ObjectRemoved:DeleteObjects", "deleted"),
        ("ObjectReplication:ObjectRemoved", "deleted"),
        ("ObjectDownloaded:GetObject", None),
        (None, None),
    ],
)
def test_names_of_events(event_name: Any, kind: str | None) -> None:
    assert [event.kind.value for event in events(event_of(event_name))] == ([] if kind is None else [kind])


def test_what_an_event_says() -> None:
    (event,) = events(event_of(), event_of(key="a\n"), None)
    assert (event.id, event.occurred_at, event.content_hash) == ("my-bucket/a+b %20.jpg", NOW, "E1")
    assert event.urls[0] == "https://img.example.com/a%2Bb%20%2520.jpg"
    (event,) = events(event_of(), key_encoding="url")
    assert event.key == "a+b  .jpg"
    assert isinstance(read(message()).instead, Ignored)


def test_without_a_message_s_id_the_operation_s_ids_stand_in() -> None:
    assert read(message(event_of())).event_id == "R1 a+b %20.jpg"
    assert read(message(event_of(responseElements=None))).event_id is None


def test_the_time_is_the_source_s_to_widen() -> None:
    late = NOW + timedelta(hours=1)
    assert outcome(make(NAME), resigned(xml(message())), late) == "timestamp_too_old"
    assert outcome(make(NAME, tolerance=4000.0), resigned(xml(message())), late) == "alibaba-oss-mns"


def test_samples_for_a_topic_are_in_the_format_xml() -> None:
    request = signed(make(NAME), "delete")
    assert request.body.startswith(b"<?xml")
    found = make(NAME).read(verify(make(NAME), request, NOW))
    assert [event.kind.value for event in found.events] == ["deleted"]
