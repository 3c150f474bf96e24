"""One clock for all processes on a database: its own. What one of them takes in is due at once for every other, however
far the clocks of their machines are apart.

A process goes on reading its machine's clock, and adds what that is off by. Less than a second counts as nothing: where
the machines' clocks are kept right nothing is added, and no time jumps to and fro with the network.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from service.domain.clock import Clock
from service.domain.errors import StoreUnavailable
from service.domain.log import log
from service.store.engine import Tx

EVERY = 30.0
"""Seconds between two looks at the database's clock: for so long a clock that is set, or a failover to a server with
another one, may go unnoticed."""

_TOLERATED = 1.0  # seconds
_SAMPLES = 3  # a look; the one that was answered fastest counts

Read = Callable[[Callable[[Tx], None]], Awaitable[None]]


class DatabaseClock:
    """What this machine's clock is off by. `machine` is that clock, `monotonic` one that nobody sets; in seconds."""

    def __init__(
        self, machine: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._machine = machine
        self._monotonic = monotonic
        self._added = 0.0
        self._offset: timedelta | None = None

    def corrected(self, own: Clock) -> Clock:
        """The database's time, told by a clock of this machine's. When that is found to be off, time may go back, as it
        does when a clock is set."""

        def now() -> datetime:
            offset = self._offset  # asked for several times a webhook: no more than this
            return own() if offset is None else own() + offset

        return now

    def look(self, tx: Tx) -> None:
        """Compare the two clocks; for one thread at a time."""
        took, ahead = min(self._sample(tx) for _ in range(_SAMPLES))
        # The answer was made at any moment of its way: so far is the difference uncertain, either way.
        if abs(ahead - self._added) < _TOLERATED + took / 2:
            return
        self._added = ahead if abs(ahead) >= _TOLERATED else 0.0
        self._offset = timedelta(seconds=self._added) if self._added else None
        if self._offset is None:
            log.info("clock.right")
        else:
            log.warning("clock.off", seconds=round(-self._added, 1))

    def _sample(self, tx: Tx) -> tuple[float, float]:
        """How many seconds the answer took, and how many the database is ahead."""
        asked = self._monotonic()
        here = self._machine()
        there = float(tx.value("database_time"))
        took = self._monotonic() - asked
        return took, there - here - took / 2

    async def follow(self, read: Read) -> None:
        """Look again and again."""
        while True:
            await asyncio.sleep(EVERY)
            with suppress(StoreUnavailable):  # others tell of that; the clocks go on as they were
                await read(self.look)
