"""Amazon SNS messages of the tests, signed with a key of their own."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from service.domain.clock import iso
from service.domain.requests import RawRequest
from support.senders import NOW, PATH, TOPIC, rsa_key

MESSAGE_ID = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"
ENDPOINT = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"{ENDPOINT}/SimpleNotificationService-{'0' * 32}.pem"
TOKEN = "2336412f37"

_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


def notification(message: str, at: datetime = NOW, **fields: Any) -> dict[str, Any]:
    """An unsigned message; a field that is None is left out."""
    usual = {
        "Type": "Notification",
        "MessageId": MESSAGE_ID,
        "TopicArn": TOPIC,
        "Subject": "Amazon S3 Notification",
        "Message": message,
        "Timestamp": iso(at),
        "SignatureVersion": "2",
        "Signature": "AAAA",
        "SigningCertURL": CERTIFICATE_URL,
    }
    return {name: value for name, value in (usual | fields).items() if value is not None}


def handshake(kind: str = "SubscriptionConfirmation", **fields: Any) -> dict[str, Any]:
    """What asks for, or tells of the end of, a subscription."""
    url = f"{ENDPOINT}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token={TOKEN}"
    return notification("You have chosen …", Type=kind, Subject=None, **{"Token": TOKEN, "SubscribeURL": url} | fields)


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The message with its signature: what Amazon's documentation says is signed, written down a second time."""
    names = _SIGNED.get(fields.get("Type", ""), ())
    text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    algorithm = SHA1() if fields["SignatureVersion"] == "1" else SHA256()  # noqa: S303 - as Amazon signs
    signature = rsa_key().sign(text.encode(), PKCS1v15(), algorithm)
    return {**fields, "Signature": base64.b64encode(signature).decode()}


def posted(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> RawRequest:
    return RawRequest.of("POST", PATH, headers or {}, json.dumps(document).encode())


def record(
    name: str = "ObjectCreated:Put", key: str = "a.jpg", bucket: str = "my-bucket", **more: Any
) -> dict[str, Any]:
    """An S3 event record; `more` replaces or adds to its own fields."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": iso(NOW),
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "d41d8cd98f00b204e9800998ecf8427e"}},
        **more,
    }


def records(*of: Mapping[str, Any]) -> str:
    return json.dumps({"Records": list(of)})
