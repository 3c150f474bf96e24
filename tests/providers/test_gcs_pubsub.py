"""Cloud Storage through Pub/Sub: wrapped and unwrapped messages, overwrites, the token and the subscription."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import AUTHS, NAME, NOW, PATH, changed, make, problem, secrets, signed, verified
from support.tokens import GOOGLE, ISSUER, jwks
from support.vectors import agrees, captured, cases, request_of, verdict

from service.domain.clock import parse_moment
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Auth, Jwt, Source

KEY = "uploads/été/red flower+1.jpg"
URL = "https://img.example.com/uploads/%C3%A9t%C3%A9/red%20flower%2B1.jpg"
BASES = {"photos": "https://img.example.com/"}


def wrapped(attributes: Mapping[str, Any], data: str = "", **message: Any) -> bytes:
    usual = {"eventType": "OBJECT_FINALIZE", "bucketId": "my-bucket", "objectId": "a.jpg", "objectGeneration": "5"}
    said = {name: value for name, value in {**usual, **attributes}.items() if value is not None}
    return json.dumps({"message": {"attributes": said, "data": data, "messageId": "1", **message}}).encode()


def read(body: bytes, headers: Mapping[str, str] | None = None, **settings: Any) -> Notification:
    return make("gcs-pubsub", **settings).read(verified(body, headers))


def one(body: bytes, headers: Mapping[str, str] | None = None) -> AssetEvent:
    (event,) = read(body, headers).events
    return event


@pytest.mark.parametrize("case", cases("gcs-pubsub"))
def test_every_vector(case: Mapping[str, Any]) -> None:
    config = case.get("config")
    settings: dict[str, Any] = {"unverified": True}
    if config is not None:
        token = Jwt(audience=config["audience"], email=config["service_account"], max_lifetime=10**10)
        settings = {"auth": Auth(jwt=token), "public_keys": secrets(json.dumps(config["jwks"]))}
    provider = build(NAME, Source(provider="gcs-pubsub", bases=BASES, **settings))
    said = verdict(provider, case, NOW)
    if case["valid"] is not None:
        assert agrees(said, case), said
    elif config is None:
        assert said == "accepted", "a capture of the emulator, which sends no token"
    else:
        assert said == "token_key_id_missing"
    if case.get("expect"):
        ((wanted,), request) = case["expect"], as_sent(case)
        found = provider.read(verified(request.body, dict(request.headers)))
        (event,) = found.events
        assert (event.bucket, event.key, event.urls[0]) == (wanted["bucket"], wanted["key"], URL)
        assert found.event_id == wanted["dedup"]
        assert event.kind.gone == (wanted["op"] == "delete")


@pytest.mark.parametrize(
    ("case", "expected"),
    [(case.values[0], case.id) for case in cases("gcs-pubsub") if case.values[0]["valid"] is False],
)
def test_every_refusal_of_a_vector_has_its_reason(case: Mapping[str, Any], expected: str) -> None:
    reasons = {
        "pubsub-gcp-email-unverified": "token_email_unverified",
        "pubsub-gcp-email-verified-str": "token_email_unverified",
        "pubsub-auth-basic": "credential_malformed",
        "pubsub-auth-none": "credential_missing",
        "pubsub-auth-nospace": "token_malformed",
        "pubsub-auth-garbage": "token_malformed",
        "pubsub-gcp-no-exp": "token_expiry_missing",
        "pubsub-gcp-expired": "token_expired",
        "pubsub-gcp-hs256-pubkey": "token_algorithm_refused",
        "pubsub-gcp-sig-stripped": "signature_mismatch",
        "pubsub-gcp-other-key": "signature_mismatch",
        "pubsub-gcp-aud-list": "token_audience_mismatch",
        "pubsub-gcp-unknown-kid": "key_unknown",
    }
    config = case["config"]
    token = Jwt(audience=config["audience"], email=config["service_account"], max_lifetime=10**10)
    keys = secrets(json.dumps(config["jwks"]))
    provider = build(NAME, Source(provider="gcs-pubsub", auth=Auth(jwt=token), public_keys=keys))
    assert verdict(provider, case, NOW) == reasons[expected]


def test_what_lives_for_decades_is_refused_unless_the_settings_allow_it() -> None:
    case = next(one.values[0] for one in cases("gcs-pubsub") if one.id == "pubsub-gcp-ok")
    token = Jwt(audience=case["config"]["audience"], email=case["config"]["service_account"])
    keys = secrets(json.dumps(case["config"]["jwks"]))
    provider = build(NAME, Source(provider="gcs-pubsub", auth=Auth(jwt=token), public_keys=keys))
    assert verdict(provider, case, NOW) == "token_lifetime_too_long"


def as_sent(case: Mapping[str, Any]) -> RawRequest:
    """The vectors have headers as text; on the wire they are its UTF-8, which is read as latin-1."""
    request = request_of(case)
    headers = [(name, value.encode().decode("latin-1")) for name, value in request.headers]
    return RawRequest.of(request.method, request.path, headers, request.body)


def emulated(name: str) -> RawRequest:
    """What the emulator sent; unwrapped, it is kept in the vectors alone."""
    if "nowrap" not in name:
        return captured(name)
    return as_sent(next(one.values[0] for one in cases("gcs-pubsub") if one.id == f"capture-{name}"))


@pytest.mark.parametrize("prefix", ["pubsub", "pubsub-nowrap"])
def test_a_captured_overwrite_and_delete(prefix: str) -> None:
    kinds = ["updated", "replaced", "replaced", "deleted"]
    numbers = [1, 2, 3, 6] if prefix == "pubsub" else [1, 2, 3, 4]
    provider = build(NAME, Source(provider="gcs-pubsub", unverified=True, bases=BASES))
    found = [provider.read(verify(provider, emulated(f"{prefix}-0{number}"), NOW)) for number in numbers]
    events = [notification.events[0] for notification in found]
    assert [event.kind.value for event in events] == kinds
    assert [notification.event_id for notification in found] == ["1", "2", "3", "4"]
    assert {event.key for event in events} == {KEY}
    assert {event.urls for event in events} == {(URL, URL.replace("%2B", "+"))}
    assert [event.content_hash is None for event in events] == [False, True, False, False]
    assert {event.mime_type for event in events} == {"image/jpeg"}
    sequences = [str(event.sequence) for event in events]
    assert sequences == sorted(sequences)
    assert sequences[1] == sequences[2], "both halves of an overwrite are of the new generation"
    assert len(set(sequences)) == 3
    assert events[0].occurred_at == parse_moment("2026-11-24T03:53:17Z")


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({}, "updated"),
        ({"overwroteGeneration": "4"}, "replaced"),
        ({"eventType": "OBJECT_DELETE"}, "deleted"),
        ({"eventType": "OBJECT_DELETE", "overwrittenByGeneration": "6"}, "replaced"),
        ({"eventType": "OBJECT_ARCHIVE"}, "unpublished"),
        ({"eventType": "OBJECT_ARCHIVE", "overwrittenByGeneration": "6"}, "replaced"),
        ({"eventType": "OBJECT_METADATA_UPDATE"}, None),
        ({"eventType": "OTHER"}, None),
        ({"eventType": None}, None),
        ({"bucketId": None}, None),
        ({"objectId": "a\nb.jpg"}, None),
    ],
)
def test_kinds(attributes: Mapping[str, Any], kind: str | None) -> None:
    found = read(wrapped(attributes))
    assert [event.kind.value for event in found.events] == ([] if kind is None else [kind])
    assert isinstance(found.instead, Ignored) is (kind is None)
    assert found.event_id == "1"


@pytest.mark.parametrize(
    ("generation", "sequence"),
    [("5", "00000000000000000005"), ("x", None), ("1" * 21, None), ("\u0661", None), (None, None)],
)
def test_a_generation_is_a_number(generation: str | None, sequence: str | None) -> None:
    assert one(wrapped({"objectGeneration": generation})).sequence == sequence


def test_without_the_object_s_own_description() -> None:
    event = one(wrapped({"payloadFormat": "NONE"}, publishTime="2026-11-24T12:00:00.5Z"))
    assert (event.content_hash, event.mime_type, event.occurred_at) == (
        "5",
        None,
        parse_moment("2026-11-24T12:00:00.5Z"),
    )
    text = base64.b64encode(b"just text").decode()
    assert read(wrapped({}, text)).payload["message"]["data"] == "just text"


def test_an_unwrapped_message_without_a_body() -> None:
    headers = {"x-goog-pubsub-message-id": "7", "eventtype": "OBJECT_DELETE", "bucketid": "my-bucket", "objectid": "a"}
    found = read(b"", headers)
    assert found.events[0].id == "my-bucket/a"
    assert found.payload["message"]["attributes"]["objectId"] == "a"


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        (b"{}", {}, "no wrapped message"),
        (b'{"message": []}', {}, "no wrapped message"),
        (b'{"message": {"data": "!"}}', {}, "not base64"),
        (b"{", {"x-goog-pubsub-message-id": "7"}, "not JSON"),
        (b"", {"x-goog-pubsub-message-id": "7", "objectid": "\xff"}, "not UTF-8"),
        (b"", {"x-goog-pubsub-message-id": "7", "objectid": "\u20ac"}, "not UTF-8"),
    ],
)
def test_what_is_unreadable(body: bytes, headers: Mapping[str, str], message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        read(body, headers)


def outcome(provider: Provider, request: RawRequest) -> str:
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def test_the_subscription_is_pinned() -> None:
    mine, other = "projects/my-project/subscriptions/images", "projects/evil/subscriptions/images"
    provider = make("gcs-pubsub", topics=[mine])
    for sample in ("overwrite", "unwrapped"):
        request = signed(provider, sample)
        assert outcome(provider, request) == "jwt"
        assert outcome(make("gcs-pubsub", topics=[other]), request) == "topic_not_allowed"
    assert outcome(provider, changed(signed(provider), body=b"{")) == "message_malformed"
    assert outcome(provider, changed(signed(provider), body=b"{}")) == "topic_not_allowed"
    assert outcome(provider, RawRequest.of("POST", PATH, {}, b"{")) == "credential_missing"


def test_settings_that_do_not_suit() -> None:
    assert problem("gcs-pubsub", auth=None, public_keys=[])[0] == "auth"
    key, message = problem("gcs-pubsub", auth=Auth(jwt=Jwt(**ISSUER)), public_keys=secrets(jwks()))
    assert (key, "is not Google's" in message) == ("auth.jwt", True)
    assert problem("gcs-pubsub", auth=AUTHS["bearer"], public_keys=[])[0] == "auth"
    provider = make("gcs-pubsub", auth=Auth(jwt=Jwt(**GOOGLE)), public_keys=secrets(jwks()))
    assert type(provider).warnings(Source(provider="gcs-pubsub")) != []
    assert make("gcs-pubsub", auth=AUTHS["query"], secrets=secrets("fake"), public_keys=[]).credential is not None
