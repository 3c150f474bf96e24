"""Samples of what Alibaba OSS publishes, and the frame its Simple Message Queue puts around them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

from service.domain.clock import iso, to_ms
from service.providers.base import Sample
from service.providers.mns_message import CERTIFICATE_URL, MD5, MESSAGE_ID, ROOT
from service.providers.plain_provider import json_sample

_PUBLISHED_AT = "https://mnstest.oss-cn-hangzhou.aliyuncs.com/x509_public_certificate.pem"


def oss_sample(event_name: str, of_object: Mapping[str, Any], now: datetime) -> Sample:
    """https://www.alibabacloud.com/help/en/mns/user-guide/create-a-rule-to-generate-oss-event-notifications"""
    digest = _digest(event_name, iso(now))
    bucket = {"arn": "acs:oss:eu-central-1:1234567890:my-bucket", "name": "my-bucket", "ownerIdentity": "1234567890"}
    event = {
        "eventName": event_name,
        "eventSource": "acs:oss",
        "eventTime": iso(now),
        "eventVersion": "1.0",
        "oss": {
            "bucket": {**bucket, "virtualBucket": ""},
            "object": {"eTag": digest[:32], "key": "products/red hero.jpg", **of_object},
            "ossSchemaVersion": "1.0",
            "ruleId": "image-relay",
        },
        "region": "eu-central-1",
        "requestParameters": {"sourceIPAddress": "203.0.113.7"},
        "responseElements": {"requestId": digest[:24]},
        "userIdentity": {"principalId": "262561392693583141"},
    }
    return json_sample({"events": [event]})


def framed_sample(sample: Sample, topic: str | None, now: datetime) -> Sample:
    """The sample as the queue pushes it, but for the signature: in the format XML for a topic, else in SIMPLIFIED."""
    message_id = _digest(iso(now), sample.body.decode(errors="replace"))[:32]
    if topic is None:
        body, content_type, more = sample.body, "text/plain;charset=utf-8", {MESSAGE_ID: message_id}
    else:
        body, content_type, more = _xml(sample.body, topic, message_id, now), "text/xml;charset=utf-8", {}
    headers = {
        "content-type": content_type,
        MD5: base64.b64encode(hashlib.md5(body, usedforsecurity=False).hexdigest().encode()).decode(),
        "date": format_datetime(now, usegmt=True),
        "x-mns-request-id": message_id[:24],
        "x-mns-version": "2015-06-06",
        CERTIFICATE_URL: base64.b64encode(_PUBLISHED_AT.encode()).decode(),
    }
    return Sample(body, {**sample.headers, **headers, **more})


def _xml(content: bytes, topic: str, message_id: str, now: datetime) -> bytes:
    owner, _, name = topic.partition("/")
    fields = {
        "TopicOwner": owner,
        "TopicName": name,
        "Subscriber": owner,
        "SubscriptionName": "image-relay",
        "MessageId": message_id,
        "Message": content.decode(errors="replace"),
        "PublishTime": str(to_ms(now)),
    }
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in fields.items())
    return f'<?xml version="1.0" encoding="utf-8"?><{ROOT}>{inner}</{ROOT}>'.encode()


def _digest(*parts: str) -> str:
    """Upper-case hex, as Alibaba's ids and eTags are."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest().upper()
