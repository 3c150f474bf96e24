"""Ids and environments longer than any index takes: stored, remembered and looked up like all others."""

from __future__ import annotations

from random import Random

import pytest
from msgspec.structs import replace
from support.stored import NOW, Rules, accept, at, event, receipt

from service.domain.events import AssetEvent, AssetKind
from service.domain.lookups import LookupEnd, LookupSettlement, LookupState, PlannedLookup
from service.domain.memory import AssetMemory
from service.domain.purges import ReceiptStatus
from service.domain.receipts import PlannedEvent, Receipt
from service.store.asset_keys import LONGEST, key_of
from service.store.engine import Engine
from service.store.inbox import Inbox
from service.store.lookups import Lookups
from service.store.memories import Planner

OLD, NEW = "https://img.example.com/old.jpg", "https://img.example.com/new.jpg"


def noise(
    seed: int, letters: int, alphabet: str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
) -> str:
    """Text that no compression makes short enough."""
    return "".join(Random(seed).choices(alphabet, k=letters))  # noqa: S311 - the same names in every run


WIDE = "".join(chr(code) for code in range(0x4E00, 0x9000))  # three bytes each
NAMES = [
    pytest.param(noise(1, 3000), noise(2, 3000), id="letters"),
    pytest.param(noise(3, 1_000_000), noise(4, 1001), id="a-million"),
    pytest.param(noise(5, 950, WIDE), noise(6, 950, WIDE), id="three-bytes-each"),
    pytest.param("\0".join(noise(7, 450)), "\0".join(noise(8, 450)), id="nul"),
    pytest.param(noise(9, LONGEST), noise(10, LONGEST), id="just-short-enough"),
]


@pytest.mark.parametrize(("asset", "environment"), NAMES)
async def test_an_event_of_an_asset_with_a_long_name_is_stored_and_remembered(
    engine: Engine, asset: str, environment: str
) -> None:
    inbox = Inbox(engine)
    first = await accept(inbox, receipt("e1"), [event(OLD, id=asset, environment=environment)], Rules())
    assert (first.status, first.purges) == (ReceiptStatus.ACCEPTED, 1)
    rules = Rules()
    moved = event(NEW, id=asset, environment=environment)
    elsewhere = event(NEW, id=asset + "x", environment=environment)
    await accept(inbox, receipt("e2", at(1)), [moved, moved, elsewhere], rules)
    assert [seen.all_urls for seen in rules.seen] == [(NEW, OLD), (NEW, OLD), (NEW,)], "its former URL is known"
    ((kept, memory),) = await inbox.assets("cms", asset)
    assert (kept, memory.urls) == (key_of(environment), (NEW,))
    stored = await inbox.get(first.id)
    assert stored is not None
    assert stored.trace[0]["event"]["id"] == asset, "shown as it came"


class _Asking(Rules):
    def __call__(self, told: AssetEvent, memory: AssetMemory | None) -> PlannedEvent:
        planned = super().__call__(told, memory)
        return planned if told.urls else replace(planned, lookup=PlannedLookup(told, "https://api.example/1"))


@pytest.mark.parametrize(("asset", "environment"), NAMES)
async def test_it_is_looked_up_once_and_put_back_into_the_one_that_waits(
    engine: Engine, asset: str, environment: str
) -> None:
    inbox, lookups = Inbox(engine), Lookups(engine)
    told = event(id=asset, environment=environment, kind=AssetKind.REPLACED)
    await accept(inbox, receipt("e1"), [told], _Asking())
    claimed = await lookups.claim("cms", "worker", NOW)
    assert claimed is not None
    await accept(inbox, receipt("e2", at(1)), [told], _Asking())
    await lookups.settle(claimed, LookupSettlement(state=LookupState.PENDING, last_error="503", due_at=at(2)), at(1))
    again = await lookups.claim("cms", "worker", at(2))
    assert again is not None
    assert await lookups.claim("cms", "worker", at(2)) is None, "the two have become one"
    rules = _Asking()

    def planner_of(_: Receipt) -> Planner:
        return rules

    await lookups.resolve(again, LookupEnd(LookupState.DONE, (NEW,)), planner_of, at(3))
    assert [(seen.id, seen.environment, seen.urls) for seen in rules.seen] == [(asset, environment, (NEW,))] * 2


def test_a_key_is_short_stands_for_one_name_and_is_its_own_key() -> None:
    names = [noise(11, LONGEST + 1), noise(12, LONGEST + 1), noise(11, LONGEST), "a1", "", noise(13, 600, WIDE)]
    keys = [key_of(name) for name in names]
    assert len(set(keys)) == len(names)
    assert all(len(key.encode()) <= LONGEST for key in keys)
    assert [key_of(key) for key in keys] == keys
    assert keys[2:5] == names[2:5]
    assert key_of(None) == ""
