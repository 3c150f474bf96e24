"""Amazon SNS: RSA over the message's own fields; the events of S3 buckets, and whatever else a topic carries."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import Confirmation, Ignored, Notification, TestPing
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem, refuse_stale
from service.providers.bucket_urls import AMAZON_VARIANTS
from service.providers.credentials import StaticCredential
from service.providers.keys import certificate_key, pinned_rsa_keys, rsa_private_key
from service.providers.plain_payload import plain_event
from service.providers.s3_records import bases_of, read_records
from service.providers.signatures import from_base64, rsa_signature, rsa_verifies, utc_time
from service.providers.sns_message import (
    NOTIFICATION,
    SUBSCRIPTION,
    UNSUBSCRIPTION,
    Emulator,
    Message,
    Topic,
    is_envelope,
    parse_envelope,
    signed_bytes,
)
from service.settings.model import Source

_MESSAGE_ID = "x-amz-sns-message-id"
_TOPIC_ARN = "x-amz-sns-topic-arn"
_RAW_DELIVERY = "x-amz-sns-rawdelivery"
_MESSAGE_TYPE = "x-amz-sns-message-type"
_SUBJECT = "x-amz-sns-subject"  # of samples alone, until it stands in the message: Amazon sends no such header
_CONTENT_TYPE = "text/plain; charset=UTF-8"  # so Amazon says, although the body is JSON


class AwsSns(Provider):
    """https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html

    A message without an envelope (raw delivery) carries no signature: only a source with `auth:` takes it. Such a
    source asks for the credential of every request, and for the signature too of those that have an envelope.
    """

    info = Info(
        name="aws-sns",
        title="Amazon SNS and S3",
        doc_url="https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
        signs="RSA over the message's fields, SHA-1 (version 1) or SHA-256 (version 2), with Amazon's certificate",
        # A retry carries the first attempt's time, and a delivery policy may retry for an hour:
        # https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html. Five minutes are for the clocks.
        tolerance=3900,
        stored_headers=frozenset({_MESSAGE_TYPE, _MESSAGE_ID, _TOPIC_ARN, _RAW_DELIVERY, "content-type"}),
        auth=("basic", "capability"),
        options=("public_keys", "topics", "bases", "key_encoding", "signature_algorithm", "emulator"),
        signs_beside_auth=True,
        needs_secret=False,
        guide=Guide(
            setup=(
                "Make an SNS topic whose policy lets the bucket publish, and in *S3 → bucket → Properties → Event "
                "notifications* send **All object create events** and **All object removal events** to it.",
                "*SNS → topic → Create subscription*: protocol HTTPS, endpoint "
                "`https://relay.example.com/hooks/NAME`, raw message delivery **off**. The relay confirms it by "
                "itself.",
                "`topics: [arn:aws:sns:…]` names the topic: a valid signature alone says only that somebody uses "
                "Amazon. `bases: {BUCKET: https://img.example.com/}`.",
            ),
            events="`ObjectCreated:*` becomes `updated`, as an overwrite looks like a creation; `ObjectRemoved:*` "
            "and `LifecycleExpiration:*` become `deleted`. Tags, access and storage classes are ignored; "
            "`s3:TestEvent` is a test. What you publish yourself is read as an image of your own making.",
            covered="The message's fields, its time and its topic; no header, no message attribute. Raw delivery is "
            "not signed at all and needs an `auth:`.",
            retries="An answer is due within 15 s; three more attempts 20 s apart on 5xx, 429 and time-outs, or as "
            "the topic's delivery policy says, for an hour at most. **Other 4xx are dropped at once**; a "
            "dead-letter queue keeps them. It is never switched off.",
            urls="Computed: the base of the bucket (`bases`) and the object's key, in both usual spellings of "
            "special characters. Amazon's sequencers tell which of two events of a key is the later. Variants: "
            "`virtual-hosted` and `path-style` (Amazon's two kinds of object URLs).",
        ),
    )
    variants = AMAZON_VARIANTS

    credential: StaticCredential | None  # Amazon has no token to send

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if source.unverified:
            raise SourceProblem("unverified", "Amazon SNS signs every message, and confirms whom it sends to")
        if source.secrets and self.credential is None:
            raise SourceProblem("secrets", "Amazon SNS signs with its own key; secrets are for `auth:` alone")
        self._topics = _topics(source)
        self._emulator = _emulator(source)
        self._bases = bases_of(source)
        self._public_keys = pinned_rsa_keys(source)

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        if source.rules is None and not source.bases:
            return ["without `bases` an S3 object has no URL: the default rule purges nothing for it"]
        return []

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Authentic:
        if self.credential is None:
            return self.verify_signature(request, now, key)
        authentic = self.credential.verify(request)
        if not _is_raw(request):
            return self.verify_signature(request, now, key)
        topic = request.header(_TOPIC_ARN)
        if topic is not None and topic not in self._topics:
            raise Refused("topic_not_allowed", "the topic is not among the source's topics")
        return authentic

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        if self.credential is not None:
            self.credential.verify(request)  # a stranger causes no fetch
            if _is_raw(request):
                return ()
        return () if self._public_keys else (self._message(request).certificate_url(self._emulator),)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        message = self._message(request)
        message.certificate_url(self._emulator)  # refused even where a pinned key makes the certificate superfluous
        if message.kind == SUBSCRIPTION:
            message.confirmation_url(self._emulator)
        algorithm = message.algorithm
        if self.source.signature_algorithm not in (None, algorithm):
            raise Refused("signature_version_refused", f"this source takes {self.source.signature_algorithm} alone")
        signature = from_base64(message.text("Signature"))
        signed_at = utc_time(message.text("Timestamp"))
        keys = self._public_keys or [certificate_key(key, now)]
        if not any(rsa_verifies(one, signature, message.signed_bytes, algorithm) for one in keys):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic(f"aws-sns-v{message.text('SignatureVersion')}", signed_at)

    def _message(self, request: RawRequest) -> Message:
        try:
            envelope = parse_envelope(request.body)
        except Unreadable as error:
            raise Refused("message_malformed", str(error)) from None
        if envelope is None:
            raise Refused(
                "raw_delivery_unsigned",
                "the body is no SNS message, so nothing signs it: turn raw delivery off, or give the source an `auth:`",
            )
        return Message.of(envelope, self._topics)

    def read(self, request: Verified) -> Notification:
        document = json_body.parse(request.body)
        if request.scheme in self.info.auth or not is_envelope(document):
            event_id = request.headers.get(_MESSAGE_ID)
            return self.read_content(document, payload=document, subject="", event_id=event_id)
        try:
            message = Message.of(document, self._topics)
        except Refused as error:  # only of a body that was verified under other settings, or never
            raise Unreadable(str(error)) from None
        return self._read_message(message)

    def _read_message(self, message: Message) -> Notification:
        event_id = f"{message.topic.arn} {message.text('MessageId')}"
        if message.kind == SUBSCRIPTION:
            instead = self._confirmation(message)
            return Notification(payload=message.fields, instead=instead, event_id=event_id)
        if message.kind == UNSUBSCRIPTION:
            # Its SubscribeURL would subscribe again.
            ended = Ignored(f"the subscription to {message.topic.arn} was ended")
            return Notification(payload=message.fields, instead=ended, event_id=event_id)
        content = _content(message.text("Message"))
        subject = json_body.text(message.fields, "Subject") or ""
        payload = {**message.fields, "Message": content}
        return self.read_content(content, payload=payload, subject=subject, event_id=event_id)

    def _confirmation(self, message: Message) -> Confirmation:
        try:
            url = message.confirmation_url(self._emulator)
        except Refused as error:
            raise Unreadable(str(error)) from None
        return Confirmation(url, f"{message.topic.arn} asks whether it may send here")

    def read_content(self, content: Any, *, payload: Any, subject: str, event_id: str | None) -> Notification:
        """What was published: S3's own events, or an object of the publisher's making."""
        if not isinstance(content, dict):
            text = Ignored("the message is not a JSON object")
            return Notification(payload=payload, instead=text, event_id=event_id)
        if content.get("Event") == "s3:TestEvent":
            ping = TestPing(f"s3:TestEvent of the bucket {json_body.text(content, 'Bucket')}")
            return Notification(payload=payload, instead=ping, event_id=event_id)
        if "Records" not in content:
            event_type = json_body.text(content, "type") or subject
            fallback_id = event_id or sha256(msgspec.json.encode(content)).hexdigest()[:32]
            return Notification(
                payload=payload, events=(plain_event(content, event_type, fallback_id),), event_id=event_id
            )
        events = read_records(content, self._bases, self.source.key_encoding)
        instead = None if events else Ignored("no record tells of an object that was written or removed")
        return Notification(payload=payload, events=events, instead=instead, event_id=event_id)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        if signing_key is None:
            raise CommandFailed(
                "Amazon alone has Amazon's key: give an RSA private key (PEM) with --signing-key, and its public half "
                "to the source as public_keys"
            )
        topic = next(iter(self._topics.values()))
        endpoint = topic.endpoint if self._emulator is None else self._emulator.base
        fields = {
            "Type": NOTIFICATION,
            "MessageId": sample.headers.get(_MESSAGE_ID) or _message_id(sample.body, now),
            "TopicArn": topic.arn,
            "Message": sample.body.decode(errors="replace"),
            **({"Subject": sample.headers[_SUBJECT]} if _SUBJECT in sample.headers else {}),
            "Timestamp": iso(now),
            "SignatureVersion": "1" if self.source.signature_algorithm == "sha1" else "2",
            "SigningCertURL": f"{endpoint}/SimpleNotificationService-{'0' * 32}.pem",
            "UnsubscribeURL": f"{endpoint}/?Action=Unsubscribe&SubscriptionArn={topic.arn}:{_message_id(b'', now)}",
        }
        algorithm = self.source.signature_algorithm or "sha256"
        signature = rsa_signature(rsa_private_key(signing_key), signed_bytes(fields), algorithm)
        headers = {
            **{name: value for name, value in sample.headers.items() if name != _SUBJECT},
            "content-type": _CONTENT_TYPE,
            _MESSAGE_TYPE: NOTIFICATION,
            _MESSAGE_ID: fields["MessageId"],
            _TOPIC_ARN: topic.arn,
        }
        return Sample(msgspec.json.encode(fields | {"Signature": base64.b64encode(signature).decode()}), headers)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        """What S3 publishes: the bare body that raw delivery sends, and that signing puts into an envelope."""
        etag = sha256(iso(now).encode()).hexdigest()[:32]
        return {
            "put": _sample_record("ObjectCreated:Put", {"size": 109669, "eTag": etag}, now),
            "delete": _sample_record("ObjectRemoved:Delete", {}, now),
            "test-event": published({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "my-bucket"}, now),
        }


def _topics(source: Source) -> Mapping[str, Topic]:
    if not source.topics:
        raise SourceProblem("topics", "name the topics that may speak: anybody at Amazon's has a valid signature")
    try:
        return {arn: Topic.of(arn) for arn in source.topics}
    except ValueError as error:
        raise SourceProblem("topics", str(error)) from None


def _emulator(source: Source) -> Emulator | None:
    try:
        return None if source.emulator is None else Emulator.of(source.emulator)
    except ValueError as error:
        raise SourceProblem("emulator", str(error)) from None


def _is_raw(request: RawRequest) -> bool:
    """Whether a request whose credential was right, so that its headers may be believed, is a bare message."""
    if request.header(_RAW_DELIVERY) == "true":
        return True
    try:
        return parse_envelope(request.body) is None
    except Unreadable:
        return True


def _content(text: str) -> Any:
    """What was published: S3 and most others publish JSON objects, people publish text."""
    return json_body.parse(text.encode()) if text.lstrip().startswith("{") else text


def _message_id(seed: bytes, now: datetime) -> str:
    return str(UUID(bytes=sha256(iso(now).encode() + seed).digest()[:16]))


def published(content: dict[str, Any], now: datetime, subject: str | None = None) -> Sample:
    """A sample of what is published to a topic."""
    body = msgspec.json.encode(content)
    headers = {"content-type": _CONTENT_TYPE, _MESSAGE_TYPE: NOTIFICATION, _MESSAGE_ID: _message_id(body, now)}
    return Sample(body, headers if subject is None else {**headers, _SUBJECT: subject})


def _sample_record(event_name: str, of_object: dict[str, Any], now: datetime) -> Sample:
    bucket = {
        "name": "my-bucket",
        "ownerIdentity": {"principalId": "A3NL1KOZZKEXAMPLE"},
        "arn": "arn:aws:s3:::my-bucket",
    }
    stored = {"key": "products/red+hero.jpg", **of_object, "sequencer": f"{to_ms(now):018X}"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": iso(now),
        "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AROAEXAMPLE:app"},
        "requestParameters": {"sourceIPAddress": "203.0.113.7"},
        "s3": {"s3SchemaVersion": "1.0", "configurationId": "image-relay", "bucket": bucket, "object": stored},
    }
    return published({"Records": [record]}, now)
