"""Supabase: which images of a row an event is about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.senders import make, secrets, verified

from service.domain.errors import Unreadable
from service.domain.events import AssetKind, Ignored, Notification
from service.providers.registry import ALIASES, PROVIDERS, build, provider_class
from service.settings.model import Source

NEW, OLD = (f"https://img.example.com/{name}.jpg" for name in ("new", "old"))


def notification(change: Any, new: Any, old: Any, **more: Any) -> Notification:
    body = {"type": change, "table": "products", "schema": "public", "record": new, "old_record": old, **more}
    return make("supabase").read(verified(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("change", "new", "old", "expected"),
    [
        ("INSERT", {"id": 1, "image": NEW}, None, (AssetKind.CREATED, (NEW,), ())),
        ("UPDATE", {"id": 1, "image": NEW}, {"id": 1, "image": OLD}, (AssetKind.REPLACED, (NEW,), (OLD,))),
        ("UPDATE", {"id": 1, "image": NEW}, {"id": 1, "image": NEW}, (AssetKind.UPDATED, (NEW,), ())),
        ("UPDATE", {"id": 1, "image": None}, {"id": 1, "image": OLD}, (AssetKind.REPLACED, (OLD,), ())),
        ("UPDATE", {"id": 1, "path": "a.jpg"}, {"id": 1}, (AssetKind.UPDATED, (), ())),
        ("DELETE", None, {"id": 1, "image": OLD}, (AssetKind.DELETED, (OLD,), ())),
        ("TRUNCATE", {"id": 1, "image": NEW}, None, (AssetKind.UNKNOWN, (NEW,), ())),
    ],
)
def test_events(change: str, new: Any, old: Any, expected: tuple[AssetKind, tuple[str, ...], tuple[str, ...]]) -> None:
    (found,) = notification(change, new, old).events
    assert (found.kind, found.urls, found.earlier_urls) == expected
    assert found.id == "public.products/1"


@pytest.mark.parametrize(
    ("row", "schema", "identity"),
    [
        ({"id": 7}, None, "public.products/7"),
        ({"uuid": "f1a2"}, "shop", "shop.products/f1a2"),
        ({"slug": "basket", "image": NEW}, "shop", "shop.products/basket"),
    ],
)
def test_what_a_row_is_known_by(row: Any, schema: str | None, identity: str) -> None:
    (found,) = notification("INSERT", row, None, schema=schema).events
    assert found.id == identity


@pytest.mark.parametrize(
    ("new", "old", "why"),
    [
        (None, None, "it holds no row"),
        ([], {}, "it holds no row"),
        ({"image": NEW}, None, "a row of products has none of the columns id, uuid, key, slug"),
    ],
)
def test_what_is_ignored(new: Any, old: Any, why: str) -> None:
    instead = notification("UPDATE", new, old).instead
    assert isinstance(instead, Ignored)
    assert instead.reason.startswith(why)


@pytest.mark.parametrize("body", [{}, {"type": "UPDATE"}, {"table": "products"}, {"type": 1, "table": "products"}])
def test_what_says_nothing_is_unreadable(body: Any) -> None:
    with pytest.raises(Unreadable, match="no type or no table"):
        make("supabase").read(verified(json.dumps(body).encode()))


@pytest.mark.parametrize("name", ALIASES)
def test_other_names_of_a_provider(name: str) -> None:
    assert name not in PROVIDERS
    assert provider_class(name) is provider_class(ALIASES[name])
    assert build("hook", Source(provider=name, secrets=secrets("whsec_ZmFrZS1mYWtlLWZha2UtZmFrZQ=="))).name == "hook"
