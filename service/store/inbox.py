"""Receipts, the purges they plan and the assets they tell of: written together or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from service.domain.clock import from_ms, to_ms
from service.domain.errors import CommandFailed
from service.domain.events import AssetEvent
from service.domain.memory import AssetMemory
from service.domain.purges import PlannedPurge, Purge, ReceiptStatus
from service.domain.receipts import NewReceipt, PlannedEvent, Receipt, verdict
from service.store.asset_keys import key_of
from service.store.engine import Engine, Row, Tx
from service.store.lookup_rows import add_lookup
from service.store.memories import Memories, Planner, memory_of
from service.store.queueing import queue_purges
from service.store.rows import purge_of

_LOOKED_FOR = 1.0  # seconds of settling after which a dispatcher finds a purge by itself
_SMALL = 16 * 1024  # bytes of a body that may share a statement with others
_DEDUPE, _BODY = 2, 9  # places in a row of receipts

_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode = msgspec.json.Decoder().decode


class Accepted(Struct, frozen=True):
    """How a receipt was stored, and how many purges it led to."""

    id: str
    status: ReceiptStatus
    reason: str | None
    purges: int
    planned: tuple[PlannedEvent, ...] = ()

    @property
    def lookups(self) -> bool:
        """Whether URLs have to be looked up for it."""
        return any(event.lookup for event in self.planned)


class Inbox:
    """What came in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept(
        self, verified: Sequence[tuple[NewReceipt, Sequence[AssetEvent], Planner]]
    ) -> Awaitable[Sequence[Accepted | Exception]]:
        """Store verified webhooks, each with the purges planned for it and the assets' new memory in one transaction;
        what each came to, in order.

        A delivery of an event that is stored already changes nothing but its delivery count.
        """
        return self._engine.write_joined(_accept_all, [_Incoming(*one) for one in verified])

    async def replan(self, receipt: Receipt, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
        """Apply the present rules to a stored receipt and store what comes of it."""
        return await self._engine.write(lambda tx: _replan(tx, receipt, new, events, plan))

    async def keep(self, new: NewReceipt, newest: int) -> None:
        """Store a request that was answered with a refusal; of its source's refused ones only the `newest` stay."""

        def job(tx: Tx) -> None:
            _insert(tx, [_row(new, "[]", new.status, new.reason)])
            if new.status is ReceiptStatus.REFUSED:
                tx.run("trim_refused", source=new.source, keep=newest)

        await self._engine.write(job)

    async def get(self, receipt_id: str) -> Receipt | None:
        """One receipt with its body."""
        row = await self._engine.read(lambda tx: tx.one("get_receipt", id=receipt_id))
        return None if row is None else receipt_of(row, row["body"])

    async def list(
        self, *, source: str | None = None, status: str | None = None, before: str | None = None, limit: int = 50
    ) -> Sequence[Receipt]:
        """Receipts, newest first, without bodies. `before` is the last id of the page before."""
        rows = await self._engine.read(
            lambda tx: tx.all("list_receipts", source=source, status=status, before=before, limit=limit)
        )
        return [receipt_of(row, None) for row in rows]

    async def purges_of(self, receipt_id: str) -> Sequence[tuple[Purge, str]]:
        """The purges a receipt led to, each with the rule that asked for it."""
        rows = await self._engine.read(lambda tx: tx.all("purges_of_receipt", receipt_id=receipt_id))
        return [(purge_of(row), row["rule"]) for row in rows]

    async def assets(self, source: str, asset_id: str) -> Sequence[tuple[str, AssetMemory]]:
        """What is remembered of an asset, by environment."""
        rows = await self._engine.read(lambda tx: tx.all("find_assets", source=source, asset_id=key_of(asset_id)))
        return [(row["environment"], memory_of(row)) for row in rows]


class _Incoming(Struct, frozen=True, eq=False):
    """A verified webhook on its way into the store."""

    new: NewReceipt
    events: Sequence[AssetEvent]
    plan: Planner


def _accept_all(tx: Tx, incoming: Sequence[_Incoming]) -> Sequence[Accepted]:
    """A group of webhooks, as if one after the other: a few statements for all of them."""
    holders = _holders(tx, [one.new.dedupe for one in incoming if one.new.dedupe is not None])
    first: list[_Incoming] = []
    again: list[tuple[str, datetime]] = []
    held_by: list[str | None] = []
    for one in incoming:
        dedupe = one.new.dedupe
        holder = None if dedupe is None else holders.get(dedupe)
        held_by.append(holder)
        if holder is None:
            first.append(one)
            if dedupe is not None:
                holders[dedupe] = one.new.id
        else:
            again.append((holder, one.new.received_at))
    stored = iter(_store(tx, first))
    _count(tx, again)
    return [
        next(stored) if holder is None else Accepted(holder, ReceiptStatus.DUPLICATE, None, 0)
        for one, holder in zip(incoming, held_by, strict=True)
    ]


def _holders(tx: Tx, dedupes: Sequence[bytes]) -> dict[bytes, str]:
    """The receipts that are there already, by the event they hold."""
    return {bytes(row["dedupe"]): row["id"] for row in tx.rows("receipts_of_dedupes", [(one,) for one in dedupes])}


def _count(tx: Tx, again: Sequence[tuple[str, datetime]]) -> None:
    """Further deliveries of what is stored."""
    if not again:
        return
    for holder, times in Counter(holder for holder, _ in again).items():
        seen = max(to_ms(moment) for one, moment in again if one == holder)
        tx.run("count_deliveries", id=holder, more=times, now=seen)


def _store(tx: Tx, first: Sequence[_Incoming]) -> list[Accepted]:
    news = [one.new for one in first]
    memories = Memories(tx, [(one.new.source, one.events) for one in first])
    planned = [memories.plan(one.new.source, one.events, one.plan) for one in first]
    verdicts = [verdict(*each) for each in zip(news, planned, strict=True)]
    traces = [_trace(events) for events in planned]
    _insert(tx, [_row(new, trace, *told) for new, trace, told in zip(news, traces, verdicts, strict=True)])
    if parents := [(new.id, new.traceparent) for new in news if new.traceparent is not None]:
        tx.rows("keep_traces", parents)
    for new, events in zip(news, planned, strict=True):
        _add_lookups(tx, new, events)
    counts = apply_events(
        tx,
        memories,
        [
            Led(new.source, new.id, events, new.received_at, new.received_at)
            for new, events in zip(news, planned, strict=True)
        ],
    )
    return [
        Accepted(new.id, status, reason, purges, events)
        for new, (status, reason), purges, events in zip(news, verdicts, counts, planned, strict=True)
    ]


def _replan(tx: Tx, receipt: Receipt, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
    holder = None if new.dedupe is None else _holders(tx, [new.dedupe]).get(new.dedupe)
    if holder not in (None, receipt.id):
        return Accepted(holder, ReceiptStatus.DUPLICATE, None, 0)
    memories = Memories(tx, [(receipt.source, events)])
    planned = memories.plan(receipt.source, events, plan, receipt.received_at)
    status, reason = verdict(new, planned)
    changed = tx.run(
        "update_receipt",
        id=receipt.id,
        status=status,
        reason=reason,
        scheme=new.scheme,
        signed_at=None if new.signed_at is None else to_ms(new.signed_at),
        dedupe=new.dedupe,
        trace=_trace(planned),
    )
    if not changed:
        raise CommandFailed(f"{receipt.id} is past its retention: it was removed a moment ago")
    tx.run("forget_lookups", receipt_id=receipt.id)
    _add_lookups(tx, new, planned)
    led = Led(new.source, new.id, planned, receipt.received_at, new.received_at)
    (purges,) = apply_events(tx, memories, [led])
    return Accepted(receipt.id, status, reason, purges, planned)


def _insert(tx: Tx, rows: Sequence[tuple[Any, ...]]) -> None:
    """In one order in every process, so that no two wait for each other; large bodies in statements of their own."""
    small = sorted((row for row in rows if len(row[_BODY]) <= _SMALL), key=lambda row: row[_DEDUPE] or b"")
    tx.rows("insert_receipts", small)
    for row in rows:
        if len(row[_BODY]) > _SMALL:
            tx.rows("insert_receipts", [row])


def _row(new: NewReceipt, trace: str, status: ReceiptStatus, reason: str | None) -> tuple[Any, ...]:
    received_at = to_ms(new.received_at)
    return (
        new.id,
        new.source,
        new.dedupe,
        status,
        reason,
        new.scheme,
        new.method,
        new.path,
        _encode(dict(new.headers)).decode(),
        new.body,
        new.body_bytes,
        received_at,
        None if new.signed_at is None else to_ms(new.signed_at),
        received_at,
        1,
        trace,
    )


def _trace(planned: Sequence[PlannedEvent]) -> str:
    return _encode([event.trace for event in planned]).decode()


def _add_lookups(tx: Tx, new: NewReceipt, planned: Sequence[PlannedEvent]) -> None:
    for position, outcome in enumerate(planned):
        if outcome.lookup is not None:
            add_lookup(tx, new, position, outcome.lookup)


class Led(Struct, frozen=True):
    """What a receipt's events have led to: heard of at `heard_at`, planned `now`."""

    source: str
    receipt_id: str
    planned: Sequence[PlannedEvent]
    heard_at: datetime
    now: datetime


def apply_events(tx: Tx, memories: Memories, led: Sequence[Led]) -> list[int]:
    """Store the memory and the purges that were planned; how many purges that came to, for each receipt."""
    asked: list[tuple[PlannedPurge, datetime]] = []
    owners: list[tuple[int, str]] = []
    for number, one in enumerate(led):
        memories.learn(one.source, one.planned, one.heard_at)
        for outcome in one.planned:
            for purge in outcome.purges:
                asked.append((purge, one.now))
                owners.append((number, one.receipt_id))
    memories.write()
    ids = queue_purges(tx, asked)
    of_receipt: list[set[str]] = [set() for _ in led]
    links = []
    for (purge, _), (number, receipt_id), purge_id in zip(asked, owners, ids, strict=True):
        of_receipt[number].add(purge_id)
        links.append((receipt_id, purge_id, purge.rule))
    tx.rows("link_purges", links)
    for project in {purge.project for purge, _ in asked if purge.settle < _LOOKED_FOR and purge.refusal is None}:
        tx.announce(project)
    return [len(purges) for purges in of_receipt]


def receipt_of(row: Row, body: bytes | None) -> Receipt:
    """Any row that has the columns of `list_receipts`."""
    return Receipt(
        id=row["id"],
        source=row["source"],
        status=ReceiptStatus(row["status"]),
        reason=row["reason"],
        scheme=row["scheme"],
        method=row["method"],
        path=row["path"],
        headers=_decode(row["headers"]),
        body=body,
        body_bytes=row["body_bytes"],
        received_at=from_ms(row["received_at"]),
        signed_at=None if row["signed_at"] is None else from_ms(row["signed_at"]),
        seen_at=from_ms(row["seen_at"]),
        deliveries=row["deliveries"],
        trace=_decode(row["trace"]),
    )
