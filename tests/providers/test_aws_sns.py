"""Amazon SNS: who may speak, what is refused and why, and what a message says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from support.senders import (
    AUTHS,
    NOW,
    PATH,
    TOPIC,
    changed,
    ed25519_key,
    make,
    private_pem,
    problem,
    public_pem,
    read,
    rsa_key,
    secrets,
    source,
    verified,
    with_key_of_path,
)
from support.sns import (
    CERTIFICATE_URL,
    ENDPOINT,
    MESSAGE_ID,
    TOKEN,
    handshake,
    notification,
    posted,
    record,
    records,
    sealed,
)

from service.domain import events
from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import Confirmation, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.aws_sns import AwsSns
from service.providers.base import Provider, Sample
from service.providers.verification import verify
from service.settings.model import Rule

OTHER_TOPIC = "arn:aws:sns:eu-west-1:999999999999:pictures"
EMULATOR = "http://127.0.0.1:4566"
PUT = records(record())


def reason(provider: Provider, request: RawRequest, key: bytes | None = None) -> str:
    try:
        provider.key_urls(request)
        verify(provider, request, NOW, key)
    except Refused as error:
        return error.reason
    return ""


def content(message: str, **fields: Any) -> Notification:
    """What a genuine message is read as."""
    return read(make("aws-sns"), posted(sealed(notification(message, **fields))))


@pytest.mark.parametrize(
    "fields",
    [
        notification(PUT),
        notification(PUT, SignatureVersion="1"),
        notification(PUT, Subject=None),
        notification("two\nlines é 🖼"),
        handshake(),
        handshake(SignatureVersion="1"),
        handshake("UnsubscribeConfirmation"),
        handshake("UnsubscribeConfirmation", SignatureVersion="1", SubscribeURL="https://elsewhere.example/"),
        {**notification(PUT), "Subject": None},
        {**notification(PUT), "UnsubscribeURL": "anything", "MessageAttributes": {"a": 1}},
    ],
)
def test_every_kind_and_version_of_message_verifies(fields: Mapping[str, Any]) -> None:
    document = sealed({name: value for name, value in fields.items() if value is not None})
    provider = make("aws-sns")
    found = verify(provider, posted({**fields, **document}), NOW)
    assert (found.scheme, found.signed_at) == (f"aws-sns-v{fields['SignatureVersion']}", NOW)


FORGED_TYPE = f"Notification\nMessageId\n{MESSAGE_ID}\nTimestamp\n2026\nTopicArn\n{OTHER_TOPIC}\nType\nNotification"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (notification(PUT, TopicArn=OTHER_TOPIC), "topic_not_allowed"),
        (notification(PUT, Type="Greeting"), "message_malformed"),
        (notification(PUT, Type=FORGED_TYPE), "message_malformed"),
        (notification(PUT, Subject=f"a\nTopicArn\n{TOPIC}"), "message_malformed"),
        (notification(PUT, MessageId="a\nb"), "message_malformed"),
        (notification(PUT, Timestamp=None, Extra="1"), "message_malformed"),
        (notification(PUT, SigningCertURL=f"{CERTIFICATE_URL}\n"), "message_malformed"),
        (notification(PUT, SigningCertURL="https://elsewhere.example/a.pem"), "certificate_url_refused"),
        (notification(PUT, SigningCertURL=f"{EMULATOR}/a.pem"), "certificate_url_refused"),
        (notification(PUT, SignatureVersion="3"), "signature_version_unknown"),
        (notification(PUT, Timestamp="2026-11-24 12:00:00Z"), "timestamp_malformed"),
        (notification(PUT, Timestamp="2026-11-24T12:00:00+00:00"), "timestamp_malformed"),
        (handshake(SubscribeURL="https://elsewhere.example/"), "subscribe_url_refused"),
        (handshake(SubscribeURL=f"{ENDPOINT}/?Action=Unsubscribe&Token={TOKEN}"), "subscribe_url_refused"),
        (handshake(SubscribeURL=f"{ENDPOINT}/?Action=ConfirmSubscription&Token=00"), "subscribe_url_refused"),
        (handshake(SubscribeURL=ENDPOINT), "subscribe_url_refused"),
        (handshake(Token="x&Action=Unsubscribe"), "subscribe_url_refused"),
        (handshake(Token="two\nlines"), "message_malformed"),
    ],
)
def test_a_signed_message_that_is_refused(fields: Mapping[str, Any], expected: str) -> None:
    assert reason(make("aws-sns"), posted(sealed(fields))) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Message": records(record(key="b.jpg"))}, "signature_mismatch"),
        ({"MessageId": "other"}, "signature_mismatch"),
        ({"Subject": "other"}, "signature_mismatch"),
        ({"Subject": None}, "signature_mismatch"),
        ({"Timestamp": "2026-11-24T12:00:01.000Z"}, "signature_mismatch"),
        ({"SignatureVersion": "1"}, "signature_mismatch"),
        ({"Type": "SubscriptionConfirmation", "Token": TOKEN, "SubscribeURL": "x"}, "subscribe_url_refused"),
        ({"Signature": ""}, "signature_mismatch"),
        ({"Signature": "AAAA"}, "signature_mismatch"),
        ({"Signature": "not base64"}, "signature_malformed"),
        ({"Signature": "é"}, "signature_malformed"),
        ({"Signature": None}, "message_malformed"),
        ({"Signature": 1}, "message_malformed"),
    ],
)
def test_a_message_changed_after_it_was_signed(changes: Mapping[str, Any], expected: str) -> None:
    assert reason(make("aws-sns"), posted({**sealed(notification(PUT)), **changes})) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "message_malformed"),
        (b"\xff", "message_malformed"),
        (b"[" * 200, "message_malformed"),
        (b"[]", "raw_delivery_unsigned"),
        (b"{}", "raw_delivery_unsigned"),
        (PUT.encode(), "raw_delivery_unsigned"),
        (b'{"Type": "Notification", "TopicArn": []}', "message_malformed"),
        (b'{"Type": {}, "Signature": ""}', "message_malformed"),
    ],
)
def test_a_body_that_is_no_message(body: bytes, expected: str) -> None:
    for provider in (make("aws-sns"), make("aws-sns", public_keys=[])):
        assert reason(provider, RawRequest.of("POST", PATH, {"x-amz-sns-rawdelivery": "true"}, body)) == expected


@pytest.mark.parametrize(
    ("algorithm", "version", "expected"),
    [
        ("sha256", "2", ""),
        ("sha256", "1", "signature_version_refused"),
        ("sha1", "1", ""),
        ("sha1", "2", "signature_version_refused"),
    ],
)
def test_a_source_may_take_one_version_alone(algorithm: str, version: str, expected: str) -> None:
    provider = make("aws-sns", signature_algorithm=algorithm)
    assert reason(provider, posted(sealed(notification(PUT, SignatureVersion=version)))) == expected
    own = provider.sign(Sample(PUT.encode()), PATH, NOW, private_pem(rsa_key()))
    assert reason(provider, own) == ""


@pytest.mark.parametrize(
    ("seconds", "expected"), [(3600, ""), (3901, "timestamp_too_old"), (-3901, "timestamp_too_new")]
)
def test_retries_of_an_hour_still_verify(seconds: int, expected: str) -> None:
    """They carry the time of the first attempt."""
    at = NOW - timedelta(seconds=seconds)
    assert reason(make("aws-sns"), posted(sealed(notification(PUT, at)))) == expected


def test_a_certificate_is_asked_for_and_takes_the_place_of_a_pinned_key(certificate: bytes, expired: bytes) -> None:
    provider = make("aws-sns", public_keys=[])
    request = posted(sealed(notification(PUT)))
    assert provider.key_urls(request) == (CERTIFICATE_URL,)
    assert reason(provider, request, certificate) == ""
    assert reason(provider, request, expired) == "certificate_expired"
    assert reason(provider, request, b"<html>") == "certificate_unreadable"
    assert reason(provider, request) == "certificate_missing"
    assert make("aws-sns").key_urls(request) == ()


def test_pinned_keys_rotate_and_may_be_certificates(expired: bytes) -> None:
    other = public_pem(generate_private_key(public_exponent=65537, key_size=2048))
    request = posted(sealed(notification(PUT)))
    assert reason(make("aws-sns", public_keys=secrets(other, expired.decode())), request) == ""
    assert reason(make("aws-sns", public_keys=secrets(other)), request) == "signature_mismatch"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (CERTIFICATE_URL, EMULATOR + CERTIFICATE_URL.removeprefix(ENDPOINT)),
        (f"{EMULATOR}/_aws/sns/Simple-1.pem", f"{EMULATOR}/_aws/sns/Simple-1.pem"),
        (f"{EMULATOR}?Action=x", None),
        (f"{EMULATOR}@elsewhere.example/a.pem", None),
        ("http://127.0.0.1:45666/a.pem", None),
        ("https://elsewhere.example/a.pem", None),
    ],
)
def test_an_emulator_publishes_its_own_certificates(url: str, asked: str | None) -> None:
    provider = make("aws-sns", public_keys=[], emulator=EMULATOR)
    request = posted(notification(PUT, SigningCertURL=url))
    if asked is None:
        assert reason(provider, request) == "certificate_url_refused"
    else:
        assert provider.key_urls(request) == (asked,)


@pytest.mark.parametrize("emulator", [None, EMULATOR])
def test_a_subscription_is_confirmed_at_a_url_of_our_own_making(emulator: str | None) -> None:
    base = emulator or ENDPOINT
    given = f"{base}/?Action=ConfirmSubscription&TopicArn=anything&Token={TOKEN}"
    provider = make("aws-sns", emulator=emulator)
    found = read(provider, posted(sealed(handshake(SubscribeURL=given))))
    assert found.instead == Confirmation(
        f"{base}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token={TOKEN}", f"{TOPIC} asks whether it may send here"
    )
    assert found.event_id == f"{TOPIC} {MESSAGE_ID}"


def test_the_end_of_a_subscription_confirms_nothing() -> None:
    found = read(make("aws-sns"), posted(sealed(handshake("UnsubscribeConfirmation"))))
    assert found.instead == Ignored(f"the subscription to {TOPIC} was ended")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (PUT, [("updated", "my-bucket/a.jpg", ("https://img.example.com/a.jpg",))]),
        (
            records(record(key="a.jpg"), record("ObjectRemoved:DeleteMarkerCreated", "b.jpg")),
            [
                ("updated", "my-bucket/a.jpg", ("https://img.example.com/a.jpg",)),
                ("deleted", "my-bucket/b.jpg", ("https://img.example.com/b.jpg",)),
            ],
        ),
        (records(record(bucket="unknown")), [("updated", "unknown/a.jpg", ())]),
        (' {"media_id": "17F0"}', [("unknown", "17F0", ())]),
        ('{"type": "asset.deleted", "data": {"id": 7, "url": "https://x/y"}}', [("deleted", "7", ("https://x/y",))]),
        ("{}", [("unknown", f"{TOPIC} {MESSAGE_ID}", ())]),
    ],
)
def test_what_is_published_as_events(message: str, expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    found = content(message)
    assert found.instead is None
    assert [(event.kind.value, event.id, event.urls) for event in found.events] == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("hello\nworld", Ignored("the message is not a JSON object")),
        ("[1]", Ignored("the message is not a JSON object")),
        (records(), Ignored("no record tells of an object that was written or removed")),
        (records(record("ObjectTagging:Put")), Ignored("no record tells of an object that was written or removed")),
        (
            '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "my-bucket"}',
            events.TestPing("s3:TestEvent of the bucket my-bucket"),
        ),
    ],
)
def test_what_is_published_instead_of_events(message: str, expected: object) -> None:
    found = content(message)
    assert (found.instead, found.events) == (expected, ())


def test_a_subject_tells_the_kind_where_the_message_does_not() -> None:
    """Bynder publishes an id alone and names the event in the subject."""
    (event,) = content('{"media_id": "17F0"}', Subject="asset_bank.media.deleted").events
    assert (event.kind, event.id) == (events.AssetKind.DELETED, "17F0")


def test_rules_see_the_message_parsed_in_its_envelope() -> None:
    payload = content('{"media_id": "17F0"}', Subject="asset_bank.media.updated").payload
    assert payload["Message"]["media_id"] == "17F0"
    assert payload["Subject"] == "asset_bank.media.updated"
    assert content("plain").payload["Message"] == "plain"


@pytest.mark.parametrize("message", ['{"a":', '{"a": ' + "[" * 100 + "]" * 100 + "}", '{"a": 1' + "0" * 30 + "}"])
def test_a_published_object_that_cannot_be_read(message: str) -> None:
    with pytest.raises(Unreadable):
        content(message)


@pytest.mark.parametrize(
    "fields", [notification(PUT, TopicArn=OTHER_TOPIC), handshake(SubscribeURL="https://elsewhere.example/")]
)
def test_what_was_never_verified_or_under_other_settings_is_unreadable(fields: Mapping[str, Any]) -> None:
    with pytest.raises(Unreadable):
        make("aws-sns").read(verified(posted(fields).body))


@pytest.mark.parametrize("kind", ["basic", "capability"])
def test_raw_delivery_takes_a_credential(kind: str) -> None:
    provider = make("aws-sns", auth=AUTHS[kind], secrets=secrets("fake-secret"), public_keys=[])
    request = credentialed(provider, PUT.encode(), {"x-amz-sns-message-id": MESSAGE_ID, "x-amz-sns-topic-arn": TOPIC})
    assert provider.key_urls(request) == ()
    found = read(provider, request)
    assert [event.id for event in found.events] == ["my-bucket/a.jpg"]
    assert found.event_id == MESSAGE_ID
    assert found.payload == json.loads(PUT)
    for refused in (
        RawRequest.of("POST", PATH, {}, request.body),
        changed(request, {"x-amz-sns-topic-arn": OTHER_TOPIC}),
    ):
        assert reason(provider, refused) in ("credential_missing", "topic_not_allowed")


def credentialed(provider: Provider, body: bytes, headers: Mapping[str, str]) -> RawRequest:
    request = provider.sign(Sample(body, headers), PATH, NOW)
    return with_key_of_path(request) if request.path != PATH else request


def test_raw_delivery_of_what_is_no_json_is_genuine_and_unreadable() -> None:
    provider = make("aws-sns", auth=AUTHS["basic"], secrets=secrets("fake-secret"))
    found = verify(provider, credentialed(provider, b"hello", {}), NOW)
    assert found.scheme == "basic"
    with pytest.raises(Unreadable):
        provider.read(found)


def test_raw_delivery_without_a_message_id_still_has_an_asset() -> None:
    provider = make("aws-sns", auth=AUTHS["basic"], secrets=secrets("fake-secret"))
    found = read(provider, credentialed(provider, b'{"media": 1}', {}))
    assert found.event_id is None
    assert len(found.events[0].id) == 32


def test_a_message_with_an_envelope_needs_credential_and_signature() -> None:
    provider = make("aws-sns", auth=AUTHS["basic"], secrets=secrets("fake-secret"), public_keys=[])
    genuine = credentialed(provider, posted(sealed(handshake())).body, {})
    assert provider.key_urls(genuine) == (CERTIFICATE_URL,)
    with pytest.raises(Refused, match="credential missing"):
        provider.key_urls(posted(sealed(handshake())))
    provider = make("aws-sns", auth=AUTHS["basic"], secrets=secrets("fake-secret"))
    assert verify(provider, genuine, NOW).scheme == "aws-sns-v2"
    assert isinstance(read(provider, genuine).instead, Confirmation)
    forged = changed(genuine, body=posted(handshake()).body)
    assert reason(provider, forged) == "signature_mismatch"


def test_what_looks_like_an_envelope_in_raw_delivery_is_a_message_like_any_other() -> None:
    """Whoever may publish to the topic cannot have a subscription confirmed."""
    provider = make("aws-sns", auth=AUTHS["basic"], secrets=secrets("fake-secret"))
    found = read(provider, credentialed(provider, posted(handshake()).body, {"x-amz-sns-rawdelivery": "true"}))
    assert found.instead is None
    assert [event.kind.value for event in found.events] == ["unknown"]


@pytest.mark.parametrize(
    ("settings", "key", "words"),
    [
        ({"topics": []}, "topics", "name the topics that may speak"),
        ({"topics": ["pictures"]}, "topics", "is not a topic's ARN"),
        ({"topics": [f"{TOPIC}.fifo"]}, "topics", "is not a topic's ARN"),
        ({"topics": [TOPIC, "arn:aws:sns:eu-west-1:*:*"]}, "topics", "is not a topic's ARN"),
        ({"emulator": "http://sns.example.com"}, "emulator", "emulator on this machine"),
        ({"emulator": "http://127.0.0.1.example.com"}, "emulator", "emulator on this machine"),
        ({"emulator": "http://user@127.0.0.1"}, "emulator", "emulator on this machine"),
        ({"emulator": "http://127.0.0.1/path"}, "emulator", "emulator on this machine"),
        ({"emulator": "http://["}, "emulator", "Invalid IPv6 URL"),
        ({"bases": {"b": "ftp://x"}}, "bases", "neither a URL nor a path"),
        ({"public_keys": secrets("nonsense")}, "public_keys", "not an RSA public key"),
        ({"public_keys": secrets(public_pem(ed25519_key()))}, "public_keys", "not an RSA public key"),
        ({"secrets": secrets("fake")}, "secrets", "secrets are for `auth:` alone"),
        ({"auth": AUTHS["basic"]}, "secrets", "takes its values from here"),
        ({"cloud_name": "demo"}, "cloud_name", "aws-sns has no such option"),
    ],
)
def test_settings_that_do_not_suit(settings: Mapping[str, Any], key: str, words: str) -> None:
    found = problem("aws-sns", **settings)
    assert found[0] == key
    assert words in found[1]


@pytest.mark.parametrize(
    "emulator", ["http://localhost:4566", "http://127.0.0.1:4566/", "https://[::1]:4566", "http://127.8.8.8"]
)
def test_an_emulator_is_on_this_machine(emulator: str) -> None:
    request = make("aws-sns", emulator=emulator).sign(Sample(b"{}"), PATH, NOW, private_pem(rsa_key()))
    assert json.loads(request.body)["SigningCertURL"].startswith(emulator.rstrip("/") + "/Simple")


@pytest.mark.parametrize(
    ("topic", "host"),
    [
        (TOPIC, "sns.eu-west-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:pictures", "sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:pictures", "sns.us-gov-west-1.amazonaws.com"),
        ("arn:aws-eusc:sns:eusc-de-east-1:123456789012:pictures", "sns.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_every_partition_of_amazon_s_has_its_own_host(topic: str, host: str) -> None:
    provider = make("aws-sns", topics=[topic], public_keys=[])
    request = provider.sign(Sample(PUT.encode()), PATH, NOW, private_pem(rsa_key()))
    assert provider.key_urls(request) == (f"https://{host}/SimpleNotificationService-{'0' * 32}.pem",)


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"bases": {}}, True),
        ({"bases": {}, "rules": [Rule(src_images=["/files/{{ asset.key }}"])]}, False),
        ({}, False),
    ],
)
def test_objects_that_nobody_can_make_urls_of_are_warned_of(settings: Mapping[str, Any], warned: bool) -> None:
    warning = "without `bases` an S3 object has no URL: the default rule purges nothing for it"
    assert AwsSns.warnings(source("aws-sns", **settings)) == [warning] * warned


def test_only_a_private_key_signs_a_sample() -> None:
    provider = make("aws-sns")
    for key, words in (
        (None, "give an RSA private key"),
        (b"nonsense", "not a private key in PEM"),
        (private_pem(ed25519_key()), "not an RSA private key"),
    ):
        with pytest.raises(CommandFailed, match=words):
            provider.sign(Sample(b"{}"), PATH, NOW, key)


def test_a_sample_keeps_its_own_message_id() -> None:
    provider = make("aws-sns")
    sample = Sample(PUT.encode(), {"X-Amz-Sns-Message-Id": MESSAGE_ID})
    assert read(provider, provider.sign(sample, PATH, NOW, private_pem(rsa_key()))).event_id == f"{TOPIC} {MESSAGE_ID}"
