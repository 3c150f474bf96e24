"""The messages of Pub/Sub push subscriptions, wrapped in JSON or spread over headers and body."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Self

from msgspec import Struct

from service.domain.errors import Unreadable
from service.domain.requests import Verified
from service.providers import json_body

# A subscription that does not wrap writes a message's attributes and its own data into headers of their names:
# https://docs.cloud.google.com/pubsub/docs/payload-unwrapping. These are the attributes of Cloud Storage.
ATTRIBUTES = (
    *("eventType", "bucketId", "objectId", "objectGeneration", "eventTime", "payloadFormat"),
    *("overwroteGeneration", "overwrittenByGeneration"),
)
MESSAGE_ID = "x-goog-pubsub-message-id"
SUBSCRIPTION = "x-goog-pubsub-subscription-name"
PUBLISH_TIME = "x-goog-pubsub-publish-time"


class Message(Struct, frozen=True, kw_only=True):
    """A message of a topic, however it was pushed. `payload` is it as rules see it, its data decoded."""

    payload: dict[str, Any]
    attributes: dict[str, Any]
    data: Any
    id: str | None
    published_at: str | None

    @classmethod
    def wrapped(cls, body: bytes) -> Self:
        document = json_body.parse_object(body)
        message = document.get("message")
        if not isinstance(message, dict):
            raise Unreadable("the body is no wrapped message, and no header says that it is an unwrapped one")
        data = _decoded(json_body.text(message, "data") or "")
        return cls(
            payload={**document, "message": {**message, "data": data}},
            attributes=json_body.obj(message, "attributes"),
            data=data,
            id=json_body.first_text(message, "messageId", "message_id"),
            published_at=json_body.first_text(message, "publishTime", "publish_time"),
        )

    @classmethod
    def unwrapped(cls, request: Verified) -> Self:
        headers = request.headers
        named = {name: headers[name.lower()] for name in ATTRIBUTES if name.lower() in headers}
        try:
            # A name's UTF-8 is put into the header as it is, and a header is read as latin-1.
            attributes = {name: value.encode("latin-1").decode() for name, value in named.items()}
        except UnicodeError:
            raise Unreadable("a header with an attribute is not UTF-8") from None
        data = json_body.parse(request.body) if request.body else None
        message = {"attributes": attributes, "data": data, "messageId": headers[MESSAGE_ID]}
        return cls(
            payload={"message": message, "subscription": headers.get(SUBSCRIPTION)},
            attributes=attributes,
            data=data,
            id=headers[MESSAGE_ID] or None,
            published_at=headers.get(PUBLISH_TIME),
        )


def _decoded(data: str) -> Any:
    """The document in a message's data, or its text where a publisher of another kind wrote it."""
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("the message's data is not base64") from None
    try:
        return json_body.parse(raw)
    except Unreadable:
        return raw.decode(errors="replace")
