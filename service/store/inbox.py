"""Receipts, the purges they plan and the assets they tell of: written together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from service.domain.clock import from_ms, to_ms
from service.domain.errors import CommandFailed
from service.domain.events import AssetEvent
from service.domain.ids import new_id
from service.domain.memory import AssetMemory
from service.domain.purges import Action, PlannedPurge, Purge, ReceiptStatus
from service.domain.receipts import NewReceipt, PlannedEvent, Receipt, verdict
from service.store.asset_keys import key_of
from service.store.engine import Engine, Row, Tx
from service.store.lookup_rows import add_lookup
from service.store.rows import purge_of

Planner = Callable[[AssetEvent, AssetMemory | None], PlannedEvent]

_LOOKED_FOR = 1.0  # seconds of settling after which a dispatcher finds a purge by itself
_TICK = 100  # milliseconds; a settling time may become longer by less than that, never shorter
_FEW = 8  # events whose planning costs no more than looking beforehand whether they are known

_encode = msgspec.json.Encoder(enc_hook=str).encode
_decode = msgspec.json.Decoder().decode
_decode_urls = msgspec.json.Decoder(list[str]).decode


@dataclass(frozen=True, slots=True)
class Accepted:
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

    async def accept(self, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
        """Store a verified webhook, the purges planned for it and the assets' new memory, in one transaction.

        A delivery of an event that is stored already changes nothing but its delivery count.
        """
        return await self._engine.write(lambda tx: _accept(tx, new, events, plan))

    async def replan(self, receipt: Receipt, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
        """Apply the present rules to a stored receipt and store what comes of it."""
        return await self._engine.write(lambda tx: _replan(tx, receipt, new, events, plan))

    async def keep(self, new: NewReceipt, newest: int) -> None:
        """Store a request that was answered with a refusal; of its source's refused ones only the `newest` stay."""

        def job(tx: Tx) -> None:
            _insert(tx, new, "[]")
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
        return [(row["environment"], _memory(row)) for row in rows]


def _accept(tx: Tx, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
    # The insert says whether this event is new; planning, which it needs, changes nothing. Only a large request is
    # worth a look-up beforehand.
    if len(events) > _FEW and tx.value("receipt_of_dedupe", dedupe=new.dedupe) is not None:
        events = ()
    planned = plan_events(tx, new.source, events, plan)
    status, reason = verdict(new, planned)
    stored = _insert(tx, new, _trace(planned), status, reason)
    if stored != new.id:
        return Accepted(stored, ReceiptStatus.DUPLICATE, None, 0)
    purges = _apply(tx, new, planned, new.received_at)
    return Accepted(new.id, status, reason, purges, planned)


def _replan(tx: Tx, receipt: Receipt, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
    holder = tx.value("receipt_of_dedupe", dedupe=new.dedupe)
    if holder not in (None, receipt.id):
        return Accepted(holder, ReceiptStatus.DUPLICATE, None, 0)
    planned = plan_events(tx, receipt.source, events, plan, receipt.received_at)
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
    purges = _apply(tx, new, planned, receipt.received_at)
    return Accepted(receipt.id, status, reason, purges, planned)


def plan_events(
    tx: Tx, source: str, events: Sequence[AssetEvent], plan: Planner, replayed: datetime | None = None
) -> tuple[PlannedEvent, ...]:
    """Each event on the memory the one before it leaves: a request may speak of one asset twice.

    `replayed` is when the request came in, where that was some time ago.
    """
    memories: dict[tuple[str, str], AssetMemory | None] = {}
    overtaken: set[tuple[str, str]] = set()
    planned = []
    for event in events:
        key = (key_of(event.environment), key_of(event.id))
        if key not in memories:
            tx.lock(source, *key)
            row = tx.one("get_asset", source=source, environment=key[0], asset_id=key[1])
            memories[key] = None if row is None else _memory(row)
            if row is not None and replayed is not None and row["updated_at"] > to_ms(replayed):
                overtaken.add(key)
        known = memories[key]
        outcome = plan(event, known)
        if known is not None and (outcome.failed or (key in overtaken and known.is_newer_than(event) is None)):
            outcome = replace(outcome, memory=_noted(known, outcome.memory))
        memories[key] = outcome.memory
        planned.append(outcome)
    return tuple(planned)


def _noted(known: AssetMemory, memory: AssetMemory) -> AssetMemory:
    """The state that is known, with the new one's URLs among the earlier ones.

    For an event that others have overtaken since, and for one whose rule failed: replayed once the rule is mended, it
    has to differ from what is remembered as it does now.
    """
    earlier = dict.fromkeys((*memory.urls, *memory.earlier_urls))
    room = max(len(known.earlier_urls), len(memory.earlier_urls), len(memory.urls))
    return replace(known, earlier_urls=tuple(url for url in earlier if url not in known.urls)[:room])


def _insert(tx: Tx, new: NewReceipt, trace: str, status: ReceiptStatus | None = None, reason: str | None = None) -> str:
    row = tx.one(
        "insert_receipt",
        id=new.id,
        source=new.source,
        dedupe=new.dedupe,
        status=new.status if status is None else status,
        reason=new.reason if status is None else reason,
        scheme=new.scheme,
        method=new.method,
        path=new.path,
        headers=_encode(dict(new.headers)).decode(),
        body=new.body,
        body_bytes=new.body_bytes,
        received_at=to_ms(new.received_at),
        signed_at=None if new.signed_at is None else to_ms(new.signed_at),
        trace=trace,
    )
    return _id(row)


def _trace(planned: Sequence[PlannedEvent]) -> str:
    return _encode([event.trace for event in planned]).decode()


def _apply(tx: Tx, new: NewReceipt, planned: Sequence[PlannedEvent], heard_at: datetime) -> int:
    """Store what was planned; how many purges that came to."""
    for position, outcome in enumerate(planned):
        if outcome.lookup is not None:
            add_lookup(tx, new, position, outcome.lookup)
    return apply_events(tx, new.source, new.id, planned, heard_at=heard_at, now=new.received_at)


def apply_events(
    tx: Tx, source: str, receipt_id: str, planned: Sequence[PlannedEvent], *, heard_at: datetime, now: datetime
) -> int:
    """Store the memory and the purges that were planned for a receipt; how many purges that came to."""
    purges = set()
    urgent: set[str] = set()
    for outcome in planned:
        event, memory = outcome.event, outcome.memory
        tx.run(
            "put_asset",
            source=source,
            environment=key_of(event.environment),
            asset_id=key_of(event.id),
            urls=_encode(memory.urls).decode(),
            earlier_urls=_encode(memory.earlier_urls).decode(),
            content_hash=memory.content_hash,
            occurred_at=None if memory.occurred_at is None else to_ms(memory.occurred_at),
            gone=int(memory.gone),
            sequence=memory.sequence,
            now=0 if outcome.failed else to_ms(heard_at),  # a failed rule has not dealt with the new state
        )
        for purge in outcome.purges:
            purge_id = add_purge(tx, purge, now)
            tx.run("link_purge", receipt_id=receipt_id, purge_id=purge_id, rule=purge.rule)
            purges.add(purge_id)
            if purge.settle < _LOOKED_FOR and purge.refusal is None:
                urgent.add(purge.project)
    for project in urgent:
        tx.announce(project)
    return len(purges)


def _times(now: int, settle: int) -> dict[str, int]:
    """When a purge is due, in milliseconds: what settles does so by the tick, so that images which change one after the
    other fall due together and fill a call."""
    due = -(-(now + settle) // _TICK) * _TICK if settle else now
    return {"now": now, "settle": settle, "due": due}


def add_purge(tx: Tx, purge: PlannedPurge, now: datetime) -> str:
    """Queue one purge, or let it join the pending one that already does its work; the id that now stands for it."""
    purge_id = new_id("prg", now)
    place: dict[str, Any] = {"project": purge.project, "src_image": purge.src_image}
    if purge.refusal is not None:
        row = tx.one(
            "upsert_refused_purge",
            id=purge_id,
            **place,
            action=purge.action,
            deadline=purge.deadline,
            now=to_ms(now),
            last_error=purge.refusal,
        )
        return _id(row)
    times = _times(to_ms(now), round(purge.settle * 1000))
    if purge.action is Action.INVALIDATE:
        row = tx.one("absorb_into_pending_delete", **place, **times)
        if row is not None:
            return _id(row)
    row = tx.one("upsert_purge", id=purge_id, **place, action=purge.action, deadline=purge.deadline, **times)
    stored = _id(row)
    if purge.action is Action.DELETE and row is not None and row["beside_invalidate"]:
        tx.run("supersede_pending_invalidate", **place, by=stored, now=to_ms(now))
    return stored


def _id(row: Row | None) -> str:
    assert row is not None, "RETURNING of a row that was written gives that row"
    return str(row["id"])


def _memory(row: Row) -> AssetMemory:
    return AssetMemory(
        urls=tuple(_decode_urls(row["urls"])),
        earlier_urls=tuple(_decode_urls(row["earlier_urls"])),
        content_hash=row["content_hash"],
        occurred_at=None if row["occurred_at"] is None else from_ms(row["occurred_at"]),
        gone=bool(row["gone"]),
        sequence=row["sequence"],
    )


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
