"""CloudEvents over HTTP in its three modes: binary (attributes in headers), structured, and batches."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from urllib.parse import unquote

from msgspec import Struct

from service.domain.errors import Unreadable
from service.domain.requests import Verified
from service.providers import json_body

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
HEADERS = frozenset({"content-type", *(f"ce-{name}" for name in _ATTRIBUTES)})
"""What of a binary event is in headers, extensions aside."""


class CloudEvent(Struct, frozen=True, kw_only=True):
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes

    `document` is the event in the structured form, whatever form it came in.
    """

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime | None
    data: Any
    document: dict[str, Any]

    @classmethod
    def of(cls, document: Any) -> Self:
        """Raises Unreadable."""
        version = json_body.text(document, "specversion") or ""
        needed = [json_body.text(document, name) for name in ("id", "source", "type")]
        if not version.startswith("1.") or None in needed:
            raise Unreadable("no CloudEvent of version 1 with id, source and type")
        event_id, source, event_type = (text or "" for text in needed)
        data = _decoded(document["data_base64"]) if "data_base64" in document else document.get("data")
        return cls(
            id=event_id,
            source=source,
            type=event_type,
            subject=json_body.text(document, "subject"),
            time=json_body.moment(document, "time"),
            data=data,
            document={**document, "data": data},
        )

    @property
    def key(self) -> str:
        """What no two events have in common: the id is its source's own."""
        return f"{self.source} {self.id}"


def parse_events(request: Verified) -> tuple[CloudEvent, ...]:
    """The events of a request: one, or those of a batch; raises Unreadable.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3-http-message-mapping
    """
    content_type = request.headers.get("content-type", "").lower()
    if "ce-specversion" in request.headers and not content_type.startswith("application/cloudevents"):
        return (CloudEvent.of(_binary(request.headers, request.body)),)
    document = json_body.parse(request.body)
    return tuple(CloudEvent.of(one) for one in (document if isinstance(document, list) else [document]))


def payload_of(events: tuple[CloudEvent, ...]) -> Any:
    """What rules see: the event, or the list of a batch's."""
    return events[0].document if len(events) == 1 else [event.document for event in events]


def _binary(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Characters beyond ASCII are percent-encoded in headers; whether Google does so is unknown, and no URL is made of
    these."""
    attributes: dict[str, Any] = {
        name: unquote(headers[f"ce-{name}"]) for name in _ATTRIBUTES if f"ce-{name}" in headers
    }
    return {**attributes, "data": json_body.parse(body) if body else None}


def _decoded(data: Any) -> Any:
    """JSON in base64, which is how a structured event carries bytes."""
    if not isinstance(data, str):
        raise Unreadable("data_base64 is no text")
    try:
        return json_body.parse(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        raise Unreadable("data_base64 is not base64") from None
