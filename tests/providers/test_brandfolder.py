"""Brandfolder: what a skinny event says, and that deliveries are told apart by the microsecond."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from support.senders import AUTHS, NOW, make, problem, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import Ignored, Notification
from service.providers.verification import verify

NAME = "brandfolder"


def read(**attributes: Any) -> Notification:
    usual = {"key": "k1", "event_type": "asset.update", "event_time": "2026-11-24 12:00:00.000125"}
    document = {"data": {"attributes": usual | attributes, "webhook_id": "w1"}}
    return make(NAME).read(verified(json.dumps(document).encode()))


def test_the_url_is_the_credential() -> None:
    for kind in ("capability", "query"):
        provider = make(NAME, auth=AUTHS[kind])
        assert verify(provider, signed(provider), NOW).scheme == kind
    assert problem(NAME, auth=AUTHS["bearer"])[0] == "auth"


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("asset.create", "created"),
        ("asset.update", "updated"),
        ("asset.delete", "deleted"),
        ("section.update", None),
    ],
)
def test_types_of_events(event_type: str, kind: str | None) -> None:
    found = read(event_type=event_type)
    assert [event.kind.value for event in found.events] == ([] if kind is None else [kind])
    assert isinstance(found.instead, Ignored) is (kind is None)


def test_what_an_event_says() -> None:
    found = read()
    (event,) = found.events
    assert (event.id, event.urls) == ("k1", ())
    assert event.occurred_at == datetime(2026, 11, 24, 12, 0, 0, 125, tzinfo=UTC)
    assert found.event_id == "w1 k1 asset.update 2026-11-24 12:00:00.000125"


@pytest.mark.parametrize(
    ("event_time", "told_apart"), [(None, False), ("soon", True), ("2026-11-24 12:00:00.000126", True)]
)
def test_times(event_time: Any, told_apart: bool) -> None:
    found = read(event_time=event_time)
    assert (found.event_id is not None) is told_apart
    assert found.event_id != read().event_id


@pytest.mark.parametrize("attributes", [{"key": None}, {"event_type": None}, {"key": 7}, {"event_type": []}])
def test_another_payload_is_unreadable(attributes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable, match="Brandfolder"):
        read(**attributes)
