"""Lookups in the store: joined, claimed, put back, and what their answers lead to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec import structs
from support.stored import NOW, Rules, accept, at, event, receipt

from service.domain.errors import CommandFailed, Unreadable
from service.domain.events import AssetEvent, AssetKind
from service.domain.lookups import Lookup, LookupEnd, LookupSettlement, LookupState, PlannedLookup
from service.domain.memory import AssetMemory
from service.domain.purges import ReceiptStatus
from service.domain.receipts import WAITING, NewReceipt, PlannedEvent, Receipt
from service.settings.model import Retention as Limits
from service.store.engine import Engine
from service.store.inbox import Accepted, Inbox
from service.store.lookups import STEP, Lookups, Resolved
from service.store.memories import Planner
from service.store.retention import Retention

URL = "https://api.example/assets/a1"
PICTURE = "https://img.example.com/new.jpg"


class Asking(Rules):
    """Rules of a source that looks URLs up."""

    def __init__(self, url: str = URL, **more: Any) -> None:
        super().__init__(**more)
        self._url = url

    def __call__(self, told: AssetEvent, memory: AssetMemory | None) -> PlannedEvent:
        planned = super().__call__(told, memory)
        return planned if told.urls else structs.replace(planned, lookup=PlannedLookup(told, self._url))


async def taken(engine: Engine, *events: AssetEvent, url: str = URL, **more: Any) -> tuple[NewReceipt, Accepted]:
    new = receipt(**more)
    return new, await accept(Inbox(engine), new, events or [event()], Asking(url))


async def claimed(engine: Engine, now: datetime = NOW) -> Lookup:
    lookup = await Lookups(engine).claim("cms", "worker", now)
    assert lookup is not None
    return lookup


def by(rules: Planner) -> Any:
    def planner_of(stored: Receipt) -> Planner:
        return rules

    return planner_of


async def resolved(engine: Engine, lookup: Lookup, *urls: str, rules: Planner | None = None) -> Resolved:
    return await Lookups(engine).resolve(
        lookup, LookupEnd(LookupState.DONE, urls or (PICTURE,)), by(rules or Asking()), at(5)
    )


async def found(engine: Engine, new: NewReceipt) -> Receipt:
    stored = await Inbox(engine).get(new.id)
    assert stored is not None
    return stored


async def states(engine: Engine, new: NewReceipt) -> list[tuple[LookupState, str | None]]:
    return [(one.state, one.last_error) for one in await Lookups(engine).of_receipt(new.id)]


async def images(engine: Engine, new: NewReceipt) -> list[str]:
    return [purge.src_image for purge, _ in await Inbox(engine).purges_of(new.id)]


async def test_an_event_without_urls_waits_for_them_and_is_planned_with_them(engine: Engine) -> None:
    new, accepted = await taken(engine)
    assert (accepted.status, accepted.reason, accepted.purges) == (ReceiptStatus.ACCEPTED, WAITING, 0)
    assert accepted.lookups
    assert await Lookups(engine).sources() == ["cms"]
    assert await Lookups(engine).next_due_at("cms") == NOW
    lookup = await claimed(engine)
    assert (lookup.url, lookup.asset_id, lookup.environment, lookup.attempts) == (URL, "a1", None, 1)
    rules = Asking()
    outcome = await resolved(engine, lookup, rules=rules)
    assert (outcome.purges, outcome.more, len(outcome.planned)) == (1, False, 1)
    assert rules.seen[0].urls == (PICTURE,)
    assert await images(engine, new) == [PICTURE]
    assert await states(engine, new) == [(LookupState.DONE, None)]
    stored = await found(engine, new)
    assert (stored.status, stored.reason, len(stored.trace)) == (ReceiptStatus.ACCEPTED, None, 2)
    ((_, memory),) = await Inbox(engine).assets("cms", "a1")
    assert memory.urls == (PICTURE,)
    assert await Lookups(engine).sources() == []


async def test_no_event_is_lost_when_events_join(engine: Engine) -> None:
    first, _ = await taken(engine, event(kind=AssetKind.REPLACED))
    second, _ = await taken(engine, event(kind=AssetKind.UPDATED), now=at(1), url=f"{URL}?newer")
    lookup = await claimed(engine, at(1))
    assert (lookup.url, lookup.changed_at, lookup.created_at) == (f"{URL}?newer", at(1), NOW)
    assert await Lookups(engine).claim("cms", "worker", at(1)) is None
    rules = Asking()
    await resolved(engine, lookup, rules=rules)
    assert [one.kind for one in rules.seen] == [AssetKind.REPLACED, AssetKind.UPDATED]
    assert await images(engine, first) == await images(engine, second) == [PICTURE]


async def test_assets_of_other_environments_and_sources_are_others(engine: Engine) -> None:
    await taken(engine, event(environment="master"), event(environment="staging"), event(id="a2"))
    await taken(engine, event(), source="other")
    assert await Lookups(engine).sources() == ["cms", "other"]
    assert len({(await claimed(engine)).id for _ in range(3)}) == 3
    assert await Lookups(engine).next_due_at("cms") is None


async def test_an_event_while_it_is_being_asked_for_is_another_lookup_afterwards(engine: Engine) -> None:
    _, _ = await taken(engine)
    lookup = await claimed(engine)
    later, _ = await taken(engine, now=at(1))
    assert await Lookups(engine).next_due_at("cms") is None
    assert await Lookups(engine).claim("cms", "worker", at(2)) is None
    await resolved(engine, lookup, "https://img.example.com/old.jpg")
    second = await claimed(engine, at(2))
    await resolved(engine, second)
    assert set(await images(engine, later)) == {"https://img.example.com/old.jpg", PICTURE}


async def missing(engine: Engine, lookup: Lookup, reason: str = "404 Not Found") -> None:
    end = LookupEnd(LookupState.MISSING, reason=reason)
    await Lookups(engine).resolve(lookup, end, by(Asking()), at(1))


async def test_an_end_without_urls_is_the_receipts_last_word(engine: Engine) -> None:
    new, _ = await taken(engine)
    lookup = await claimed(engine)
    await missing(engine, lookup)
    stored = await found(engine, new)
    assert (stored.status, stored.reason) == (ReceiptStatus.UNMATCHED, "lookup of a1: 404 Not Found")
    assert await states(engine, new) == [(LookupState.MISSING, "404 Not Found")]
    await Lookups(engine).settle(lookup, LookupSettlement(state=LookupState.DEAD), at(2))
    assert await states(engine, new) == [(LookupState.MISSING, "404 Not Found")]


async def test_what_is_remembered_by_now_is_purged_for_what_is_missing(engine: Engine) -> None:
    await taken(engine)
    lookup = await claimed(engine)
    deleted, _ = await taken(engine, event(kind=AssetKind.DELETED), now=at(1))
    await resolved(engine, lookup)
    assert await images(engine, deleted) == []
    await missing(engine, await claimed(engine, at(1)))
    assert await images(engine, deleted) == [PICTURE]
    stored = await found(engine, deleted)
    assert (stored.status, stored.reason) == (ReceiptStatus.ACCEPTED, "lookup of a1: 404 Not Found")


async def test_a_dead_one_is_told(engine: Engine) -> None:
    new, _ = await taken(engine)
    dead = LookupSettlement(state=LookupState.DEAD, last_error="400 Bad Request")
    await Lookups(engine).settle(await claimed(engine), dead, at(1))
    stored = await found(engine, new)
    assert (stored.status, stored.reason) == (ReceiptStatus.UNMATCHED, "lookup of a1: 400 Bad Request")


async def test_a_receipt_waits_for_its_last_lookup(engine: Engine) -> None:
    new, _ = await taken(engine, event(id="a1"), event(id="a2"))
    first, second = await claimed(engine), await claimed(engine)
    await missing(engine, first, "404")
    assert (await found(engine, new)).reason == WAITING
    await resolved(engine, second)
    stored = await found(engine, new)
    assert (stored.status, stored.reason) == (ReceiptStatus.ACCEPTED, f"lookup of {first.asset_id}: 404")


async def test_a_receipt_of_many_assets_says_no_more_than_can_be_read(engine: Engine) -> None:
    new, _ = await taken(engine, *(event(id=f"a{number:02}") for number in range(12)))
    for _ in range(12):
        await missing(engine, await claimed(engine), "404")
    reason = str((await found(engine, new)).reason)
    assert reason.count("lookup of") == 10
    assert reason.endswith("; and 2 more")


async def test_rules_that_want_none_of_it_or_fail_are_told(engine: Engine) -> None:
    new, _ = await taken(engine)
    await resolved(engine, await claimed(engine), rules=Asking(kinds=[AssetKind.DELETED]))
    stored = await found(engine, new)
    assert (stored.status, stored.reason) == (ReceiptStatus.UNMATCHED, "no rule gave a source image")
    new, _ = await taken(engine, event(id="a2"), now=at(10))
    await resolved(engine, await claimed(engine, at(10)), rules=Asking(failed="rule 'r' raised"))
    stored = await found(engine, new)
    assert (stored.status, stored.reason) == (ReceiptStatus.UNMATCHED, "rule 'r' raised")


async def test_a_receipt_that_cannot_be_read_any_more_is_told(engine: Engine) -> None:
    new, _ = await taken(engine)

    def refuses(stored: Receipt) -> Planner:
        raise Unreadable("the provider reads other bodies now")

    outcome = await Lookups(engine).resolve(
        await claimed(engine), LookupEnd(LookupState.DONE, (PICTURE,)), refuses, at(1)
    )
    assert (outcome.purges, outcome.planned) == (0, ())
    assert "cannot be read any more: the provider" in str((await found(engine, new)).reason)


async def test_a_failure_waits_for_another_try(engine: Engine) -> None:
    await taken(engine)
    lookup = await claimed(engine)
    again = LookupSettlement(
        state=LookupState.PENDING, last_error="503", due_at=at(9), failing_since=at(1), url=f"{URL}?ref=2"
    )
    await Lookups(engine).settle(lookup, again, at(1))
    (failing,) = await Lookups(engine).failing()
    assert (failing.source, failing.lookups, failing.reason) == ("cms", 1, "503")
    assert await Lookups(engine).claim("cms", "worker", at(8)) is None
    second = await claimed(engine, at(9))
    assert (second.id, second.url, second.attempts, second.failing_since) == (lookup.id, f"{URL}?ref=2", 2, at(1))


async def test_a_failure_joins_the_later_event_and_backs_off_in_it(engine: Engine) -> None:
    first, _ = await taken(engine)
    lookup = await claimed(engine)
    second, _ = await taken(engine, now=at(1))
    again = LookupSettlement(state=LookupState.PENDING, last_error="503", due_at=at(60), failing_since=at(1))
    await Lookups(engine).settle(lookup, again, at(2))
    assert await Lookups(engine).next_due_at("cms") == at(60)
    heir = await claimed(engine, at(60))
    assert (heir.attempts, heir.failing_since, heir.last_error) == (2, at(1), "503")
    await resolved(engine, heir)
    assert await images(engine, first) == await images(engine, second) == [PICTURE]
    assert await states(engine, first) == [(LookupState.DONE, None)]


async def test_a_settlement_may_come_twice(engine: Engine) -> None:
    await taken(engine)
    lookup = await claimed(engine)
    await taken(engine, now=at(1))
    again = LookupSettlement(state=LookupState.PENDING, last_error="503", due_at=at(9), failing_since=at(1))
    await Lookups(engine).settle(lookup, again, at(2))
    await Lookups(engine).settle(lookup, structs.replace(again, due_at=at(99)), at(3))
    assert await Lookups(engine).next_due_at("cms") == at(9)


async def test_a_later_event_with_another_address_is_worth_another_try(engine: Engine) -> None:
    await taken(engine)
    again = LookupSettlement(state=LookupState.PENDING, last_error="400", due_at=at(300), failing_since=NOW)
    await Lookups(engine).settle(await claimed(engine), again, at(1))
    await taken(engine, now=at(2))
    assert await Lookups(engine).next_due_at("cms") == at(300)
    await taken(engine, now=at(3), url=f"{URL}?ref=2")
    assert await Lookups(engine).next_due_at("cms") == at(3)


async def test_an_older_receipt_does_not_bring_its_address_back(engine: Engine) -> None:
    older = receipt(now=at(-5))
    await taken(engine, url=f"{URL}?ref=2")
    await accept(Inbox(engine), older, [event()], Asking(f"{URL}?ref=1"))
    assert (await claimed(engine)).url == f"{URL}?ref=2"


async def test_what_a_dead_process_had_claimed_is_put_back(engine: Engine) -> None:
    new, _ = await taken(engine)
    await claimed(engine)
    assert await Lookups(engine).recover("cms") == 1
    assert await Lookups(engine).recover("cms") == 0
    await resolved(engine, await claimed(engine))
    assert await images(engine, new) == [PICTURE]


async def test_what_was_put_back_resolves_nothing(engine: Engine) -> None:
    await taken(engine)
    lookup = await claimed(engine)
    await Lookups(engine).recover("cms")
    assert await resolved(engine, lookup) == Resolved(0, (), more=False)


async def test_many_events_are_planned_in_steps(engine: Engine) -> None:
    for number in range(STEP + 1):
        await taken(engine, now=at(number / 100))
    lookup = await claimed(engine, at(2))
    first = await resolved(engine, lookup)
    assert (len(first.planned), first.more) == (STEP, True)
    second = await resolved(engine, lookup)
    assert (len(second.planned), second.more) == (1, False)
    assert await Lookups(engine).sources() == []


async def test_a_later_event_that_was_dealt_with_meanwhile_is_the_newer(engine: Engine) -> None:
    await taken(engine)
    lookup = await claimed(engine)
    await accept(
        Inbox(engine), receipt(now=at(1)), [event("https://img.example.com/x.jpg", kind=AssetKind.DELETED)], Rules()
    )
    await resolved(engine, lookup)
    ((_, memory),) = await Inbox(engine).assets("cms", "a1")
    assert memory.gone
    assert PICTURE in memory.earlier_urls
    assert memory.urls == ("https://img.example.com/x.jpg",)


async def test_times_of_events_decide_where_there_are_some(engine: Engine) -> None:
    await taken(engine, event(occurred_at=at(-10)))
    lookup = await claimed(engine)
    newer = event("https://img.example.com/x.jpg", occurred_at=at(-5))
    await accept(Inbox(engine), receipt(now=at(-20)), [newer], Rules())
    await resolved(engine, lookup)
    ((_, memory),) = await Inbox(engine).assets("cms", "a1")
    assert (memory.urls, memory.occurred_at) == (("https://img.example.com/x.jpg",), at(-5))


async def test_a_replay_asks_again_and_forgets_how_it_ended(engine: Engine) -> None:
    new, _ = await taken(engine)
    await Lookups(engine).settle(
        await claimed(engine), LookupSettlement(state=LookupState.DEAD, last_error="400"), at(1)
    )
    again = structs.replace(new, received_at=at(9))
    replanned = await Inbox(engine).replan(await found(engine, new), again, [event()], Asking())
    assert (replanned.status, replanned.reason) == (ReceiptStatus.ACCEPTED, WAITING)
    assert await states(engine, new) == [(LookupState.PENDING, None)]
    await resolved(engine, await claimed(engine, at(9)))
    stored = await found(engine, new)
    assert (stored.status, stored.reason) == (ReceiptStatus.ACCEPTED, None)


async def test_a_receipt_that_waits_no_more_keeps_its_last_word(engine: Engine) -> None:
    new, _ = await taken(engine)
    await Inbox(engine).replan(await found(engine, new), new, [event()], Rules())
    await missing(engine, await claimed(engine))
    assert (await found(engine, new)).reason == "no rule gave a source image"


async def test_what_no_source_looks_up_any_more_ends(engine: Engine) -> None:
    new, _ = await taken(engine)
    assert await Lookups(engine).bury_orphans("cms", NOW, at(1), "no resolve") == 0
    assert await Lookups(engine).bury_orphans("cms", at(1), at(1), "no resolve") == 1
    assert (await found(engine, new)).reason == "lookup of a1: no resolve"
    assert await states(engine, new) == [(LookupState.DEAD, "no resolve")]


async def test_retention_spares_what_waits_and_removes_what_is_over(engine: Engine) -> None:
    waiting, _ = await taken(engine, event(id="a1"))
    over, _ = await taken(engine, event(id="a2"))
    lookups = {one.asset_id: one for one in [await claimed(engine), await claimed(engine)]}
    await missing(engine, lookups["a2"])
    old = NOW + timedelta(days=60)
    retention = Retention(engine)
    removed = 0
    while step := await retention.step(old, Limits()):
        removed += step
    assert removed == 3
    kept: Sequence[str] = [one.id for one in await Inbox(engine).list()]
    assert kept == [waiting.id]
    assert await states(engine, over) == []
    with pytest.raises(CommandFailed):
        await Inbox(engine).replan(await found_or(engine, over, waiting), over, [event()], Asking())


async def found_or(engine: Engine, new: NewReceipt, other: NewReceipt) -> Receipt:
    """A receipt that was read before retention removed it."""
    assert await Inbox(engine).get(new.id) is None
    return structs.replace(await found(engine, other), id=new.id)
