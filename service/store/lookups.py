"""The lookups that wait: claimed, put back, and what their answers lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from service.domain.clock import from_ms, to_ms
from service.domain.errors import RelayError
from service.domain.events import AssetEvent
from service.domain.lookups import Failing, Lookup, LookupEnd, LookupSettlement, LookupState
from service.domain.purges import ReceiptStatus
from service.domain.receipts import NO_IMAGE, WAITING, PlannedEvent, Receipt
from service.store.engine import Engine, Row, Tx
from service.store.inbox import Led, apply_events, receipt_of
from service.store.lookup_rows import lookup_of
from service.store.memories import Memories, Planner

STEP = 100
"""Events that one transaction plans: a webhook waits for no longer than that takes."""

_MOST_TRACES = 500  # of one receipt: every further one would be written with all that are there already
_MOST_SAID = 10  # things said in one reason

PlannerOf = Callable[[Receipt], Planner]
"""The rules for a stored receipt; raises RelayError where it cannot be read any more."""

_decode_event = msgspec.json.Decoder(AssetEvent).decode
_encode = msgspec.json.Encoder().encode


class Resolved(msgspec.Struct, frozen=True):
    """What one step led to; `more` says that events are left for another one."""

    purges: int
    planned: tuple[PlannedEvent, ...]
    more: bool


class Lookups:
    """The dispatcher's side of the lookups, and the operators'."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def recover(self, source: str) -> int:
        """Put back what the source's former process had claimed; how many. Only for the one that has it now."""

        def job(tx: Tx) -> int:
            claimed = [lookup_of(row) for row in tx.all("claimed_lookups", source=source)]
            for lookup in claimed:
                _put_back(tx, lookup, _as_it_was(lookup), lookup.due_at)
            return len(claimed)

        return await self._engine.write(job)

    async def sources(self) -> Sequence[str]:
        """The sources that have pending lookups."""
        rows = await self._engine.read(lambda tx: tx.all("pending_lookup_sources"))
        return [row["source"] for row in rows]

    async def next_due_at(self, source: str) -> datetime | None:
        """When the source's next lookup is due, None where none is pending."""
        due_at = await self._engine.read(lambda tx: tx.value("next_lookup_at", source=source))
        return None if due_at is None else from_ms(due_at)

    async def claim(self, source: str, worker: str, now: datetime) -> Lookup | None:
        """Take the lookup whose turn it is, None where none is due."""
        row = await self._engine.write(
            lambda tx: tx.one("claim_lookup", source=source, worker=worker, now=to_ms(now)),
        )
        return None if row is None else lookup_of(row)

    async def settle(self, lookup: Lookup, settlement: LookupSettlement, now: datetime) -> None:
        """Record what becomes of a claimed lookup that found nothing, and of the receipts that wait for it."""

        def job(tx: Tx) -> None:
            if settlement.state is LookupState.PENDING:
                _put_back(tx, lookup, settlement, now)
            elif _finish(tx, lookup, settlement.state, now, last_error=settlement.last_error):
                _end_waits(tx, _receipts_of(tx, lookup.id))

        await self._engine.write(job)

    async def resolve(self, lookup: Lookup, end: LookupEnd, planner_of: PlannerOf, now: datetime) -> Resolved:
        """Let the rules see the lookup's events with the URLs that were found, and store what comes of it: purges,
        memory and the end of the lookup in one transaction, some hundred events a step.

        Where there are none, they see them with what is remembered by now.
        """
        return await self._engine.write(lambda tx: _resolve(tx, lookup, end, planner_of, now))

    async def bury_orphans(self, source: str, before: datetime, now: datetime, reason: str) -> int:
        """End as dead what was left pending since before `before`, some of it; how many."""

        def job(tx: Tx) -> int:
            rows = tx.all("orphaned_lookups", source=source, before=to_ms(before), limit=STEP)
            for row in rows:
                tx.run("bury_lookup", id=row["id"], now=to_ms(now), last_error=reason)
                _end_waits(tx, _receipts_of(tx, row["id"]))
            return len(rows)

        return await self._engine.write(job)

    async def failing(self) -> Sequence[Failing]:
        """The sources whose lookups wait for another try."""
        rows = await self._engine.read(lambda tx: tx.all("failing_lookups"))
        return [Failing(source=row["source"], lookups=row["lookups"], reason=row["reason"]) for row in rows]

    async def of_receipt(self, receipt_id: str) -> Sequence[Lookup]:
        """The lookups a receipt led to."""
        rows = await self._engine.read(lambda tx: tx.all("lookups_of_receipt", receipt_id=receipt_id))
        return [lookup_of(row) for row in rows]


def _resolve(tx: Tx, lookup: Lookup, end: LookupEnd, planner_of: PlannerOf, now: datetime) -> Resolved:
    if tx.value("lookup_state", id=lookup.id) != LookupState.CLAIMED:
        return Resolved(0, (), more=False)
    rows = tx.all("events_of_lookup", id=lookup.id, limit=STEP)
    planned: list[PlannedEvent] = []
    purges = 0
    for row in rows:
        found = tx.one("get_receipt", id=row["receipt_id"])
        outcome: PlannedEvent | str | None = None
        if found is not None:
            receipt = receipt_of(found, found["body"])
            event = replace(_decode_event(row["event"]), urls=end.urls)
            memories = Memories(tx, [(receipt.source, [event])])
            outcome = _planned(memories, receipt, event, planner_of)
            if isinstance(outcome, PlannedEvent):
                led = Led(receipt.source, receipt.id, [outcome], receipt.received_at, now)
                purges += sum(apply_events(tx, memories, [led]))
                if (end.urls or outcome.purges) and len(receipt.trace) < _MOST_TRACES:
                    tx.run("put_trace", id=receipt.id, trace=_encode([*receipt.trace, outcome.trace]).decode())
                planned.append(outcome)
        failed = outcome.failed if isinstance(outcome, PlannedEvent) else outcome
        place = {"receipt_id": row["receipt_id"], "position": row["position"]}
        tx.run("planned_lookup_event", id=lookup.id, failed=failed, **place)
    more = len(rows) == STEP
    if not more:
        _finish(tx, lookup, end.state, now, last_error=end.reason)
        _end_waits(tx, _receipts_of(tx, lookup.id))
    return Resolved(purges, tuple(planned), more)


def _planned(memories: Memories, receipt: Receipt, event: AssetEvent, planner_of: PlannerOf) -> PlannedEvent | str:
    """One event as the rules see it with its URLs, or why they cannot."""
    try:
        planner = planner_of(receipt)
    except RelayError as error:
        return f"{receipt.id} cannot be read any more: {error}"
    # What came in after this receipt, and was dealt with before the answer was there, is the newer.
    (outcome,) = memories.plan(receipt.source, [event], planner, receipt.received_at)
    return outcome


def _receipts_of(tx: Tx, lookup_id: str) -> list[str]:
    return [row["receipt_id"] for row in tx.all("receipts_of_lookup", id=lookup_id)]


def _end_waits(tx: Tx, receipt_ids: Sequence[str]) -> None:
    """The last word on the receipts that wait for nothing any more."""
    for receipt_id in receipt_ids:
        if tx.value("is_waiting", receipt_id=receipt_id) is not None:
            continue
        row = tx.one("get_receipt", id=receipt_id)
        if row is None or not (row["reason"] or "").startswith(WAITING):
            continue
        accepted = tx.value("has_purges", receipt_id=receipt_id) is not None
        status = ReceiptStatus.ACCEPTED if accepted else ReceiptStatus.UNMATCHED
        told = _told(row["reason"], tx.all("lookups_of_receipt", receipt_id=receipt_id))
        tx.run("end_wait", id=receipt_id, status=status, reason=told or (None if accepted else NO_IMAGE))


def _told(reason: str, lookups: Sequence[Row]) -> str:
    """A receipt's reason once its lookups have ended: what was said before, and what some of them say."""
    said = [reason.removeprefix(WAITING).removeprefix("; "), *(_said(one) for one in lookups)]
    parts = list(dict.fromkeys(one for one in said if one))
    more = f"; and {len(parts) - _MOST_SAID} more" if len(parts) > _MOST_SAID else ""
    return "; ".join(parts[:_MOST_SAID]) + more


def _said(lookup: Row) -> str:
    """What a receipt's reason says of one of its lookups."""
    if lookup["state"] == LookupState.DONE:
        return lookup["failed"] or ""
    return f"lookup of {lookup['asset_id']}: {lookup['last_error']}"


def _put_back(tx: Tx, lookup: Lookup, settlement: LookupSettlement, now: datetime) -> None:
    """Pending again, or its events join those of a newer lookup of the asset. All in the caller's transaction: two
    pending lookups of one asset would break the unique index, and one that fell out in between would be lost."""
    place = {"source": lookup.source, "environment": lookup.environment or "", "asset_id": lookup.asset_id}
    heir = tx.value("pending_lookup_of_asset", **place)
    kept: dict[str, Any] = {
        "due_at": to_ms(settlement.due_at or now),
        "url": settlement.url or lookup.url,
        "last_error": settlement.last_error,
        "failing_since": None if settlement.failing_since is None else to_ms(settlement.failing_since),
    }
    if heir is None:
        tx.run("put_back_lookup", id=lookup.id, **kept)
    elif _finish(tx, lookup, LookupState.SUPERSEDED, now, last_error=settlement.last_error, superseded_by=heir):
        tx.run("move_lookup_events", id=lookup.id, heir=heir)
        tx.run("drop_lookup_events", id=lookup.id)
        tx.run("merge_into_lookup", heir=heir, attempts=lookup.attempts, **kept)


def _finish(
    tx: Tx,
    lookup: Lookup,
    state: LookupState,
    now: datetime,
    *,
    last_error: str | None = None,
    superseded_by: str | None = None,
) -> bool:
    """Whether it was claimed still: a settlement may come twice."""
    changed = tx.run(
        "finish_lookup", id=lookup.id, state=state, now=to_ms(now), last_error=last_error, superseded_by=superseded_by
    )
    return bool(changed)


def _as_it_was(lookup: Lookup) -> LookupSettlement:
    return LookupSettlement(
        state=LookupState.PENDING,
        last_error=lookup.last_error,
        due_at=lookup.due_at,
        failing_since=lookup.failing_since,
    )
