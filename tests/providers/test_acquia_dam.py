"""Acquia DAM: its events, its ping, and that each delivery counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import AUTHS, NOW, make, problem, signed, verified

from service.domain import events
from service.domain.errors import Unreadable
from service.domain.events import Ignored, Notification
from service.providers.verification import verify

NAME = "acquia-dam"


def read(event_type: Any, asset_id: Any = "a-1") -> Notification:
    document = {"event_type": event_type, "asset_id": asset_id}
    return make(NAME).read(verified(json.dumps(document).encode()))


def test_the_url_is_the_credential() -> None:
    for kind in ("capability", "query"):
        provider = make(NAME, auth=AUTHS[kind])
        assert verify(provider, signed(provider), NOW).scheme == kind
    assert problem(NAME, auth=AUTHS["header"])[0] == "auth"


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("asset_created", "created"),
        ("asset_version_added", "replaced"),
        ("asset_deleted", "deleted"),
        ("asset_metadata_value_updated", None),
    ],
)
def test_types_of_events(event_type: str, kind: str | None) -> None:
    found = read(event_type)
    assert [(event.kind.value, event.id) for event in found.events] == ([] if kind is None else [(kind, "a-1")])
    assert isinstance(found.instead, Ignored) is (kind is None)
    assert found.event_id is not None


def test_ids_and_the_lack_of_one() -> None:
    assert read("asset_deleted", 7).events[0].id == "7"
    assert isinstance(read("asset_deleted", None).instead, Ignored)
    assert isinstance(read("ping", None).instead, events.TestPing)


@pytest.mark.parametrize("event_type", [None, 7, ""])
def test_another_payload_is_unreadable(event_type: Any) -> None:
    with pytest.raises(Unreadable, match="no event_type"):
        read(event_type)
