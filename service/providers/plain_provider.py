"""Schemes without a payload of their own: whoever uses them sends what it likes, and rules make of it what they can."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.events import Notification
from service.domain.requests import Verified
from service.providers import json_body
from service.providers.base import Provider, Sample
from service.providers.plain_payload import plain_event

_TYPES = ("type", "event", "event_type", "action")


class PlainProvider(Provider):
    """Reads a JSON body of any shape; what is left to say is how it is verified."""

    def read(self, request: Verified) -> Notification:
        return read_plain(request, json_body.parse(request.body))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return plain_samples(now)


def read_plain(request: Verified, payload: Any, given_id: str | None = None) -> Notification:
    """The one asset a payload describes. `given_id` is the sender's own id of the delivery."""
    event_type = json_body.first_text(payload, *_TYPES) or ""
    event = plain_event(payload, event_type, body_digest(request.body))
    return Notification(payload=payload, events=(event,), event_id=delivery_id(request, payload, given_id))


def delivery_id(request: Verified, payload: Any, given_id: str | None = None) -> str | None:
    """What tells deliveries apart; None where the signed time and the body do.

    An unsigned id counts only together with its body, so that nobody can burn another event's. Without an id or any
    time, the same bytes may well be a second event: each delivery counts, and at worst an image is purged twice.
    """
    if given_id is not None:
        return f"{given_id} {body_digest(request.body)}"
    if request.signed_at is not None or json_body.moment(payload, "timestamp") is not None:
        return None
    return f"{iso(request.received_at)} {body_digest(request.body)}"


def body_digest(body: bytes) -> str:
    """32 hex digits that stand for a body."""
    return sha256(body).hexdigest()[:32]


def plain_samples(now: datetime) -> Mapping[str, Sample]:
    """An image replaced under a new URL, and an image deleted, in the shape `plain_payload` reads."""
    url = "https://images.example.com/products"
    replaced = {"id": "img_2f1c", "url": f"{url}/hero-v2.jpg", "old_url": f"{url}/hero.jpg", "filename": "hero.jpg"}
    deleted = {"id": "img_2f1c", "url": f"{url}/hero-v2.jpg"}
    return {
        event_type: json_sample({"type": event_type, "timestamp": iso(now), "data": data})
        for event_type, data in (("asset.replaced", replaced), ("asset.deleted", deleted))
    }


def json_sample(document: Any, headers: Mapping[str, str] | None = None) -> Sample:
    """A sample whose body is this document in JSON."""
    return Sample(msgspec.json.encode(document), {"content-type": "application/json", **(headers or {})})
