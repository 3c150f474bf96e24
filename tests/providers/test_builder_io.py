"""Builder.io: which images of a piece of content an event is about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import make, read, signed, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetKind, Ignored, Notification

NEW, OLD = (f"https://cdn.builder.io/api/v1/image/assets%2Fabc%2F{name}" for name in ("new", "old"))
SIDE = "https://images.example.com/side.png?w=1"


def content(*images: str, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "data": {"blocks": [{"options": {"image": one}} for one in images]}, **fields}


def notification(operation: str | None, new: Any, old: Any) -> Notification:
    body = {"newValue": new, "previousValue": old, "modelName": "page", "operation": operation}
    return make("builder-io").read(verified(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("operation", "new", "old", "expected"),
    [
        ("publish", content(NEW), None, (AssetKind.CREATED, (NEW,), ())),
        ("publish", content(NEW, SIDE), content(OLD, SIDE), (AssetKind.REPLACED, (NEW, SIDE), (OLD,))),
        ("publish", content(NEW), content(NEW, name="Old name"), (AssetKind.UPDATED, (NEW,), ())),
        ("publish", content(), content(OLD), (AssetKind.REPLACED, (), (OLD,))),
        ("publish", None, content(OLD), (AssetKind.DELETED, (), (OLD,))),
        ("scheduledStart", content(NEW), content(OLD), (AssetKind.REPLACED, (NEW,), (OLD,))),
        ("scheduledEnd", content(NEW), content(NEW), (AssetKind.UNPUBLISHED, (NEW,), ())),
        ("unpublish", content(NEW), content(OLD), (AssetKind.UNPUBLISHED, (NEW,), (OLD,))),
        ("archive", content(NEW), content(NEW), (AssetKind.UNPUBLISHED, (NEW,), ())),
        ("archive", None, content(NEW), (AssetKind.UNPUBLISHED, (), (NEW,))),
        ("delete", None, content(OLD), (AssetKind.DELETED, (), (OLD,))),
        ("delete", None, content(), (AssetKind.DELETED, (), ())),
        ("invented", content(NEW), content(OLD), (AssetKind.UNKNOWN, (NEW,), (OLD,))),
        (None, content(NEW), None, (AssetKind.UNKNOWN, (NEW,), ())),
    ],
)
def test_events(
    operation: str | None, new: Any, old: Any, expected: tuple[AssetKind, tuple[str, ...], tuple[str, ...]]
) -> None:
    (found,) = notification(operation, new, old).events
    assert (found.kind, found.urls, found.earlier_urls) == expected
    assert found.id == "c1"


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [
        (None, None, "it says nothing of the content: is the webhook's payload disabled?"),
        ({}, [content(OLD)], "it says nothing of the content: is the webhook's payload disabled?"),
        (content(), content(), "the content shows no image, and did not before"),
        (content("https://cdn.builder.io/o/assets%2Fvideo"), None, "the content shows no image, and did not before"),
    ],
)
def test_what_is_not_about_images(new: Any, old: Any, why: str) -> None:
    found = notification("publish", new, old)
    assert (found.instead, found.events) == (Ignored(why), ())


def test_content_without_an_id_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="the content has no id"):
        notification("publish", {"data": {"image": NEW}}, None)


def test_every_delivery_counts() -> None:
    provider = make("builder-io")
    assert read(provider, signed(provider)).event_id is not None
