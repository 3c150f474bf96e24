"""Rows of the lookups table as values, and a new one."""

from __future__ import annotations

import msgspec

from service.domain.clock import from_ms, to_ms
from service.domain.ids import new_id
from service.domain.lookups import Lookup, LookupState, PlannedLookup
from service.domain.receipts import NewReceipt
from service.store.asset_keys import key_of
from service.store.engine import Row, Tx

_encode = msgspec.json.Encoder().encode


def add_lookup(tx: Tx, new: NewReceipt, position: int, planned: PlannedLookup) -> str:
    """Queue a lookup for the event at that place in the body, or let it join the pending one of its asset; its id."""
    row = tx.one(
        "upsert_lookup",
        id=new_id("lkp", new.received_at),
        source=new.source,
        environment=key_of(planned.event.environment),
        asset_id=key_of(planned.event.id),
        url=planned.url,
        receipt_id=new.id,
        now=to_ms(new.received_at),
    )
    assert row is not None, "RETURNING of a row that was written gives that row"
    lookup_id = str(row["id"])
    event = _encode(planned.event).decode()
    tx.run("put_lookup_event", lookup_id=lookup_id, receipt_id=new.id, position=position, event=event)
    return lookup_id


def lookup_of(row: Row) -> Lookup:
    """Any row that has the columns of `claim_lookup`."""
    return Lookup(
        id=row["id"],
        source=row["source"],
        environment=row["environment"] or None,
        asset_id=row["asset_id"],
        url=row["url"],
        state=LookupState(row["state"]),
        due_at=from_ms(row["due_at"]),
        created_at=from_ms(row["created_at"]),
        changed_at=from_ms(row["changed_at"]),
        attempts=row["attempts"],
        last_error=row["last_error"],
        failing_since=None if row["failing_since"] is None else from_ms(row["failing_since"]),
        finished_at=None if row["finished_at"] is None else from_ms(row["finished_at"]),
        superseded_by=row["superseded_by"],
    )
