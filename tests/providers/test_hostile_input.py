"""Whatever comes in, the answer is a verdict: nothing but Refused and Unreadable is ever raised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.senders import (
    AUTHS,
    NOW,
    PATH,
    PROVIDERS,
    TOPIC,
    every_sample,
    make,
    secrets,
    signed_sample,
    verified,
)
from support.sns import notification

from service.domain.errors import Refused, Unreadable
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.credentials import CAPABILITY_HEADER
from service.providers.keys import certificate_key
from service.providers.verification import verify

HOSTILE = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Words that make a parser go further than noise would.
WORDS = [
    *("", "t=1,v1=", "v1,", "v1a,", "=", "Basic ", "Bearer x", "Basic dTpw", "0" * 40, "f" * 64, "1795521600"),
    *(
        "1795521600000",
        "-1",
        "1e9",
        "\u0661",
        "9" * 15,
        "a" * 5000,
        "\x00",
        "\ud800",
        "\xff",
        "application/json",
        TOPIC,
    ),
    *("x-contentful-timestamp,x-contentful-signed-headers", ",;:\n", "true", "ContentManagement.Asset.publish"),
]
TEXT = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=()), max_size=40)
KEYS = [
    *("Type", "Message", "MessageId", "TopicArn", "Timestamp", "Signature", "SignatureVersion", "SigningCertURL"),
    *("Subject", "Token", "SubscribeURL", "Records", "eventName", "s3", "bucket", "object", "name", "key", "eTag"),
    *("sys", "fields", "file", "url", "id", "type", "environment", "updatedAt", "notification_type", "resources"),
    *("public_id", "version", "created_at", "from_public_id", "to_public_id", "secure_url", "_id", "_type", "old"),
    *("new", "data", "urls", "timestamp", "projectId", "dataset", "operation", "asset", "_ref", "Event", "overwritten"),
]
VALUES = [
    *(
        "Notification",
        "SubscriptionConfirmation",
        "UnsubscribeConfirmation",
        "s3:TestEvent",
        "upload",
        "rename",
        "move",
    ),
    *("delete", "Asset", "DeletedAsset", "ObjectCreated:Put", "ObjectRemoved:Delete", "aws:s3", "ceph:s3", "1", "2"),
    *("https://example.com/a.jpg", "//a/b", "a%2Fb+c", "%ff%fe%", "\x00", "image-" + "a" * 40 + "-1x1-jpg", TOPIC),
    *("drafts.x", "2026-11-24T12:00:00Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "00ff", "{}"),
    *("https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-" + "0" * 32 + ".pem", '{"Records":[]}', "[" * 99),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(VALUES)
    | st.text(max_size=20)
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), children, max_size=8)
    ),
    max_leaves=25,
)
SPECIAL = [
    *(
        b"",
        b"\x00",
        b"\xff\xfe",
        b"{" * 2000,
        b"[" * 100_000,
        b"9" * 5000,
        b"1e999",
        b'{"a":1,"a":2}',
        b"\xef\xbb\xbf{}",
    ),
    *(b'"\\ud800"', b'{"Type":"Notification","Type":{},"Signature":1}', b'{"Type":"Notification","TopicArn":[]}'),
    b'{"\\u0000":"\\u0000"}',
]
BODIES = (
    st.binary(max_size=60)
    | st.sampled_from(SPECIAL)
    | DOCUMENTS.map(lambda document: json.dumps(document).encode("utf-8", "surrogatepass"))
)
HEADER_NAMES = sorted(
    {header for name in PROVIDERS for header in make(name).info.stored_headers}
    | {"authorization", "x-relay-key", CAPABILITY_HEADER, "content-encoding"}
)
HEADERS = st.lists(st.tuples(st.sampled_from(HEADER_NAMES), TEXT), max_size=12)
PATHS = st.sampled_from([PATH, f"{PATH}?code=x", "", "?", "/%", "/hooks/é?%ff=%"]) | st.text(max_size=30)


def sources() -> list[Any]:
    """Every provider, plain and with each credential it offers."""
    found = [pytest.param(make(name), id=name) for name in PROVIDERS]
    for name in PROVIDERS:
        for kind in make(name).info.auth:
            provider = make(name, auth=AUTHS[kind], secrets=secrets("fake-secret"))
            found.append(pytest.param(provider, id=f"{name}-{kind}"))
    published = make("aws-sns", public_keys=[], emulator="http://127.0.0.1:4566")
    return [*found, pytest.param(published, id="aws-sns-published")]


def verdict(provider: Provider, request: RawRequest) -> str:
    try:
        provider.key_urls(request)
        provider.read(verify(provider, request, NOW, b"no certificate"))
    except (Refused, Unreadable) as error:
        return f"{error.reason}: {error}"
    return "accepted"


@pytest.mark.parametrize("provider", sources())
@HOSTILE
@given(method=st.sampled_from(["POST", "GET", "", "é"]), path=PATHS, headers=HEADERS, body=BODIES)
def test_any_request_is_judged(
    provider: Provider, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    request = RawRequest.of(method, path, headers, body)
    assert verdict(provider, request)
    provider.stored_path(path)


@pytest.mark.parametrize("provider", sources())
@HOSTILE
@given(headers=HEADERS, body=BODIES)
def test_any_genuine_body_is_read(provider: Provider, headers: list[tuple[str, str]], body: bytes) -> None:
    for scheme in ("", "basic", "contentful-v1"):
        try:
            notification = provider.read(verified(body, dict(headers), scheme))
        except Unreadable:
            continue
        assert notification.events or notification.instead
        for event in notification.events:
            assert event.id
            json.dumps([*event.all_urls, event.id, event.key, event.environment]).encode()


@pytest.mark.parametrize(("name", "sample"), every_sample())
@HOSTILE
@given(data=st.data())
def test_headers_of_a_signed_request_replaced_by_anything(name: str, sample: str, data: st.DataObject) -> None:
    provider = make(name)
    request = signed_sample(name, sample)
    at = data.draw(st.integers(0, len(request.headers) - 1))
    headers = list(request.headers)
    headers[at] = (headers[at][0], data.draw(TEXT))
    assert verdict(provider, RawRequest.of(request.method, request.path, headers, request.body))


@HOSTILE
@given(content=DOCUMENTS)
def test_anything_published_to_a_topic_is_read(content: Any) -> None:
    body = json.dumps(notification(json.dumps(content))).encode("utf-8", "surrogatepass")
    try:
        found = make("aws-sns").read(verified(body))
    except Unreadable:
        return
    assert found.events or found.instead


@HOSTILE
@given(pem=st.binary(max_size=80) | st.sampled_from([b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]))
def test_any_published_certificate_is_refused_or_read(pem: bytes) -> None:
    with pytest.raises(Refused) as refused:
        certificate_key(pem, NOW)
    assert refused.value.reason == "certificate_unreadable"
