"""Refused requests go to the inbox in the background: a forged flood delays no answer and costs no commit each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from service.domain.log import log
from service.domain.receipts import NewReceipt
from service.ingest.ports import Inbox


class Keeper:
    """A short queue in front of the inbox; what finds it full is counted, not stored.

    `newest` is how many refused requests of a source stay, `pause` the seconds between two commits.
    """

    def __init__(self, inbox: Inbox, newest: int, *, waiting: int = 100, pause: float = 0.2) -> None:
        self._inbox = inbox
        self._newest = newest
        self._pause = pause
        self._queue: asyncio.Queue[NewReceipt] = asyncio.Queue(waiting)
        self._overflow = 0

    def offer(self, new: NewReceipt) -> bool:
        """Keep this soon, if there is room; whether there was."""
        try:
            self._queue.put_nowait(new)
        except asyncio.QueueFull:
            self._overflow += 1
            return False
        return True

    async def run(self) -> None:
        """Stores what was offered until cancelled, and then what is left."""
        try:
            while True:
                first = await self._queue.get()
                await self._keep([first, *self._waiting()])
                await asyncio.sleep(self._pause)
        finally:
            await self._keep(self._waiting())

    def _waiting(self) -> list[NewReceipt]:
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]

    async def _keep(self, batch: Sequence[NewReceipt]) -> None:
        """All at once, so that the store commits them together."""
        kept = (self._inbox.keep(new, self._newest) for new in batch)
        failures = [result for result in await asyncio.gather(*kept, return_exceptions=True) if result is not None]
        overflow, self._overflow = self._overflow, 0
        if failures or overflow:
            reason = str(failures[0]) if failures else None
            log.warning("refused.not_kept", overflow=overflow, failed=len(failures), reason=reason)
