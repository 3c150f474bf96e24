"""Retention: what has been finished long enough goes, a little at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.domain.clock import to_ms
from service.domain.ids import first_id
from service.settings.model import Retention as Limits
from service.store.engine import Engine, Tx

STEP = 500  # rows a transaction removes at most: a webhook waits for no longer than that takes

_OF_PURGE = ("prune_attempts", "prune_links_of_purge")
_OF_RECEIPT = ("prune_links_of_receipt", "prune_lookup_events_of_receipt", "prune_trace_of_receipt")
_OF_LOOKUP = ("prune_events_of_lookup",)


class Retention:
    """Removes purges, lookups, receipts and rate budgets that are past their time, with all that hangs on them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def step(self, now: datetime, limits: Limits) -> int:
        """One small transaction; how many rows it removed, 0 when there is nothing left to do."""

        def age(days: int) -> int:
            return to_ms(now - timedelta(days=days))

        def job(tx: Tx) -> int:
            removed = tx.run("prune_quotas", now=to_ms(now))
            for row in tx.all("expired_purges", before=age(limits.purges), limit=STEP):
                removed += _remove(tx, _OF_PURGE, "delete_purge", row["id"], STEP - removed)
            for row in tx.all("expired_dead_purges", before=age(limits.dead), limit=STEP):
                removed += _remove(tx, _OF_PURGE, "delete_purge", row["id"], STEP - removed)
            for row in tx.all("expired_lookups", before=age(limits.purges), limit=STEP):
                removed += _remove(tx, _OF_LOOKUP, "delete_lookup", row["id"], STEP - removed)
            before_id = first_id("rcp", now - timedelta(days=limits.receipts))
            for row in tx.all("expired_receipts", before_id=before_id, limit=STEP):
                removed += _remove(tx, _OF_RECEIPT, "delete_receipt", row["id"], STEP - removed)
            return removed

        return await self._engine.write(job)


def _remove(tx: Tx, children: tuple[str, ...], parent: str, row_id: str, most: int) -> int:
    """Remove a row with its children, at most so many; the row goes last, so that the rest is found next time."""
    removed = 0
    for statement in children:
        removed += tx.run(statement, id=row_id, limit=max(0, most - removed))
    return removed + tx.run(parent, id=row_id) if removed < most else removed
