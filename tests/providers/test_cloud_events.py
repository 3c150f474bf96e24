"""CloudEvents in every mode, and what is none."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import NOW, verified

from service.domain.errors import Unreadable
from service.providers.cloud_events import BATCH, STRUCTURED, parse_events, payload_of

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "//here",
    "type": "a.b",
    "subject": "s",
    "time": "2026-11-24T12:00Z",
}
BINARY = {f"ce-{name}": value for name, value in EVENT.items()} | {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "document"),
    [
        ({"content-type": f"{STRUCTURED}; charset=utf-8"}, {**EVENT, "data": {"a": 1}}),
        ({"content-type": BATCH}, [{**EVENT, "data": {"a": 1}}]),
        ({}, {**EVENT, "data": {"a": 1}}),
        ({}, {**EVENT, "data_base64": base64.b64encode(b'{"a": 1}').decode()}),
        (BINARY, {"a": 1}),
        ({**BINARY, "content-type": STRUCTURED}, {**EVENT, "data": {"a": 1}}),
    ],
)
def test_every_mode(headers: Mapping[str, str], document: Any) -> None:
    events = parse_events(verified(json.dumps(document).encode(), headers))
    (event,) = events
    assert (event.key, event.type, event.subject, event.time, event.data) == ("//here 1", "a.b", "s", NOW, {"a": 1})
    payload = payload_of(events)
    assert (payload["data"], payload["id"]) == ({"a": 1}, "1")


def test_a_batch_and_a_binary_event_without_data() -> None:
    events = parse_events(verified(json.dumps([EVENT, {**EVENT, "id": "2"}]).encode()))
    assert [one["id"] for one in payload_of(events)] == ["1", "2"]
    assert payload_of(parse_events(verified(b"[]"))) == []
    (event,) = parse_events(verified(b"", {**BINARY, "ce-subject": "%C3%A9t%C3%A9"}))
    assert (event.data, event.subject) == (None, "été")


@pytest.mark.parametrize(
    ("headers", "document"),
    [
        ({}, 1),
        ({}, {}),
        ({}, [1]),
        ({}, {**EVENT, "specversion": "0.3"}),
        ({}, {**EVENT, "id": ""}),
        ({}, {**EVENT, "type": 5}),
        ({}, {**EVENT, "data_base64": 5}),
        ({}, {**EVENT, "data_base64": "!"}),
        ({}, {**EVENT, "data_base64": "AAAA"}),
        ({"ce-specversion": "1.0"}, {}),
        ({"ce-specversion": "1.0", "content-type": "application/cloudevents+json"}, {}),
    ],
)
def test_what_is_no_event(headers: Mapping[str, str], document: Any) -> None:
    with pytest.raises(Unreadable):
        parse_events(verified(json.dumps(document).encode(), headers))
