"""Alibaba OSS through its Simple Message Queue (MNS): RSA-SHA1 over headers and path, the body bound by its MD5."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from re import Pattern
from typing import Any

from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem, refuse_stale
from service.providers.credentials import StaticCredential
from service.providers.keys import certificate_key, pinned_rsa_keys, rsa_private_key
from service.providers.mns_message import (
    CERTIFICATE_URL,
    MD5,
    MESSAGE_ID,
    Push,
    certificate_pattern,
    certificate_url,
    checked_topic,
    http_date,
    refuse_other_body,
    signed_bytes,
)
from service.providers.mns_sample import framed_sample, oss_sample
from service.providers.s3_records import Objects, id_of_batch, listed, warnings_of_bases
from service.providers.signatures import from_base64, rsa_signature, rsa_verifies
from service.settings.model import Source

_SIGNED_ALWAYS = (MD5, "content-type", "date")

# https://www.alibabacloud.com/help/en/oss/user-guide/overview-52. An overwrite looks like a creation; the parts of an
# upload that goes on are left out.
_KINDS = {
    "ObjectCreated:PutObject": AssetKind.UPDATED,
    "ObjectCreated:PostObject": AssetKind.UPDATED,
    "ObjectCreated:CopyObject": AssetKind.UPDATED,
    "ObjectCreated:AppendObject": AssetKind.UPDATED,
    "ObjectCreated:CompleteMultipartUpload": AssetKind.UPDATED,
    "ObjectReplication:ObjectCreated": AssetKind.UPDATED,
    "ObjectReplication:ObjectModified": AssetKind.UPDATED,
    "ObjectRemoved:DeleteObject": AssetKind.DELETED,
    "ObjectRemoved:DeleteObjects": AssetKind.DELETED,
    "ObjectReplication:ObjectRemoved": AssetKind.DELETED,
}


class AlibabaOssMns(Provider):
    """https://www.alibabacloud.com/help/en/mns/httpendpoint

    Every customer of Alibaba's has a valid signature. So either the topics that may speak are named, which the formats
    XML and JSON tell, or the URL holds a secret beside the signature.
    """

    info = Info(
        name="alibaba-oss-mns",
        title="Alibaba OSS, through Simple Message Queue",
        doc_url="https://www.alibabacloud.com/help/en/mns/httpendpoint",
        signs="RSA-SHA1 over method, path, Content-MD5, Content-Type, Date and x-mns-*, with Alibaba's certificate",
        tolerance=900,  # the window that Alibaba's own description of the signature names
        stored_headers=frozenset(
            {*_SIGNED_ALWAYS, MESSAGE_ID, CERTIFICATE_URL, "x-mns-request-id", "x-mns-message-tag", "x-mns-version"}
        ),
        auth=("query", "capability"),
        options=("public_keys", "topics", "region", "bases", "key_encoding"),
        signs_beside_auth=True,
        needs_secret=False,
        success_status=204,
        guide=Guide(
            setup=(
                "SMQ: *Topic Model → Topics → Create Topic*; OSS (or SMQ: *Event Notification*): a rule for the bucket "
                "with that topic.",
                "SMQ: *Topic Model → Subscriptions → Create Subscription*: type HTTP, endpoint "
                "`https://relay.example.com/hooks/NAME` (where the console takes `http://` alone, have your proxy "
                "pass port 80 on for this path), format **XML**, retry policy EXPONENTIAL_DECAY_RETRY.",
                "`topics: [ACCOUNT-ID/TOPIC]`, `bases: {BUCKET: https://…}` and, to be stricter, the topic's `region`. "
                "With the format SIMPLIFIED, which does not tell the topic, put a secret into the URL instead: "
                "`auth: {query: NAME}` or `auth: {capability: true}`; the signature is still asked for.",
            ),
            events="`ObjectCreated:*` (→ `updated`: a new object and an overwritten one look the same), "
            "`ObjectRemoved:*` (→ `deleted`) and the same of `ObjectReplication`. Parts of an upload are ignored.",
            covered="The request line, `Date` and Alibaba's own headers; the body only through its MD5. A replay is "
            "refused after 15 minutes and known by the message's id before. The certificate is fetched from "
            "Alibaba's two hosts alone; `public_keys` pins it instead, whatever its dates.",
            retries="Delivered is what is answered 204 within 5 s. Anything else is retried: 3 times 10 to 20 s apart "
            "(BACKOFF_RETRY) or 176 times within a day (EXPONENTIAL_DECAY_RETRY). Whether a subscription is ever "
            "switched off is unknown.",
            urls="Computed: the base of the bucket (`bases`) and the object's key. Whether keys are encoded is not "
            "documented; they are taken as they are unless `key_encoding` says otherwise.",
        ),
    )

    credential: StaticCredential | None  # a queue has no token to send

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if source.secrets and self.credential is None:
            raise SourceProblem("secrets", "Alibaba signs with its own key; secrets are for `auth:` alone")
        if not (source.topics or source.auth or source.unverified):
            raise SourceProblem(
                "topics",
                "anybody at Alibaba's has a valid signature: name the topics that may speak (ACCOUNT-ID/NAME), or "
                "put a secret into the URL with `auth:`",
            )
        self._topics = _topics(source)
        self._certificates = _certificates(source)
        self._objects = Objects.of(source, "verbatim")
        self._public_keys = pinned_rsa_keys(source)

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def verify(self, request: RawRequest, now: datetime, key: bytes | None = None) -> Authentic:
        if self.source.unverified:
            return Authentic("unverified")
        if self.credential is not None:
            self.credential.verify(request)
        return self.verify_signature(request, now, key)

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        if self.source.unverified:
            return ()
        if self.credential is not None:
            self.credential.verify(request)  # a stranger causes no fetch
        url = certificate_url(request.required(CERTIFICATE_URL), self._certificates)
        return () if self._public_keys else (url,)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        certificate_url(request.required(CERTIFICATE_URL), self._certificates)  # also where a pinned key makes it moot
        signature = from_base64(request.required("authorization"))
        signed_at = http_date(request.required("date"))
        refuse_other_body(request.required(MD5), request.body)
        names = {name for name, _ in request.headers if name.startswith("x-mns-")}.union(_SIGNED_ALWAYS)
        headers = {name: request.header(name) or "" for name in names}
        message = signed_bytes(request.method, request.path, headers)
        keys = self._public_keys or [certificate_key(key, now)]
        if not any(rsa_verifies(one, signature, message, "sha1") for one in keys):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        self._refuse_other_topics(headers.get(MESSAGE_ID), request.body)
        return Authentic("alibaba-oss-mns", signed_at)

    def _refuse_other_topics(self, message_id: str | None, body: bytes) -> None:
        """Where the frame tells no topic, the secret in the URL has to do."""
        if not self._topics:
            return
        try:
            topic = Push.of(body, message_id).topic
        except Unreadable as error:
            raise Refused("message_malformed", str(error)) from None
        if topic is None and self.credential is None:
            raise Refused(
                "topic_missing",
                "the body does not tell its topic: choose the format XML, or put a secret into the URL with `auth:`",
            )
        if topic is not None and topic not in self._topics:
            raise Refused("topic_not_allowed", "the topic is not among the source's topics")

    def read(self, request: Verified) -> Notification:
        push = Push.of(request.body, request.headers.get(MESSAGE_ID))
        document = push.document()
        given = listed(document, "events")
        events = tuple(self._events(given))
        return Notification(
            payload=document,
            events=events,
            instead=None if events else Ignored("no event tells of an object that was written or removed"),
            event_id=push.message_id or id_of_batch(_request_id(one) for one in given),
        )

    def _events(self, given: list[Any]) -> Iterator[AssetEvent]:
        for one in given:
            kind = _KINDS.get(json_body.text(one, "eventName") or "")
            event = kind and self._objects.event(
                kind,
                json_body.text(one, "oss", "bucket", "name"),
                json_body.text(one, "oss", "object", "key"),
                occurred_at=json_body.moment(one, "eventTime"),
                content_hash=json_body.text(one, "oss", "object", "eTag"),
            )
            if event:
                yield event

    def sign(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None = None) -> RawRequest:
        if self.credential is None:
            return super().sign(sample, path, now, signing_key)
        path, _ = self.credential.applied(path)  # both kinds that are offered stand in the URL, which is signed too
        signed = self.signed(sample, path, now, signing_key)
        return RawRequest.of("POST", path, signed.headers, signed.body)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        if signing_key is None:
            raise CommandFailed(
                "Alibaba alone has Alibaba's key: give an RSA private key (PEM) with --signing-key, and its public "
                "half to the source as public_keys"
            )
        framed = framed_sample(sample, min(self._topics, default=None), now)
        message = signed_bytes("POST", path, framed.headers)
        signature = rsa_signature(rsa_private_key(signing_key), message, "sha1")
        return Sample(framed.body, {**framed.headers, "authorization": base64.b64encode(signature).decode()})

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        """What OSS publishes; signing puts the queue's frame around it."""
        return {
            "put": oss_sample("ObjectCreated:PutObject", {"size": 109669, "deltaSize": 438}, now),
            "delete": oss_sample("ObjectRemoved:DeleteObject", {"size": 0, "deltaSize": -109669}, now),
        }


def _topics(source: Source) -> frozenset[str]:
    try:
        return frozenset(checked_topic(topic) for topic in source.topics)
    except ValueError as error:
        raise SourceProblem("topics", str(error)) from None


def _certificates(source: Source) -> Pattern[str]:
    try:
        return certificate_pattern(source.region)
    except ValueError as error:
        raise SourceProblem("region", str(error)) from None


def _request_id(event: Any) -> str | None:
    """OSS's id of the operation and the object of it that the event is about."""
    found, key = json_body.text(event, "responseElements", "requestId"), json_body.text(event, "oss", "object", "key")
    return None if found is None or key is None else f"{found} {key}"
