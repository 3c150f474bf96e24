"""The traces that webhooks belong to: written and read only where tracing is on."""

from __future__ import annotations

from collections.abc import Sequence

from service.store.engine import Engine


class Traces:
    """What is kept of them beside the receipts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def of_purges(self, purges: Sequence[str]) -> Sequence[str]:
        """The `traceparent`s of webhooks that asked for these purges, oldest first: some dozens at most."""
        rows = await self._engine.read(lambda tx: tx.rows("traces_of_purges", [(purge,) for purge in purges]))
        return [row["traceparent"] for row in sorted(rows, key=lambda row: str(row["receipt_id"]))]
