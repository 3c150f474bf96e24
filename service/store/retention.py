"""Retention: what has been finished long enough goes, a little at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.domain.clock import to_ms
from service.domain.ids import first_id
from service.settings.model import Retention as Limits
from service.store.engine import Engine, Tx

STEP = 500  # rows of each kind a transaction removes at most: a webhook waits for no longer than that takes


class Retention:
    """Removes purges, receipts and rate budgets that are past their time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def step(self, now: datetime, limits: Limits) -> int:
        """One small transaction; how many rows it removed, 0 when there is nothing left to do."""

        def job(tx: Tx) -> int:
            purges = [
                str(row["id"])
                for row in tx.all(
                    "prune_purges",
                    before=to_ms(now - timedelta(days=limits.purges)),
                    dead_before=to_ms(now - timedelta(days=limits.dead)),
                    limit=STEP,
                )
            ]
            for purge_id in purges:
                tx.run("unlink_purge", id=purge_id)
                tx.run("forget_attempts", id=purge_id)
            before_id = first_id("rcp", now - timedelta(days=limits.receipts))
            receipts = [str(row["id"]) for row in tx.all("prune_receipts", before_id=before_id, limit=STEP)]
            for receipt_id in receipts:
                tx.run("unlink_receipt", id=receipt_id)
            return len(purges) + len(receipts) + tx.run("prune_quotas", now=to_ms(now))

        return await self._engine.write(job)
