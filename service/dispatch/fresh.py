"""What the store says, read again only when it may have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from service.domain.clock import Clock

T = TypeVar("T")

# Shorter than the dispatcher's second between two looks: each of them sees what other processes did before it.
MAX_AGE = timedelta(seconds=0.5)


class Fresh(Generic[T]):
    """A value that is at most half a second old; those who ask at the same time share one reading."""

    def __init__(self, load: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._load = load
        self._clock = clock
        self._lock = asyncio.Lock()
        self._read: tuple[datetime, T] | None = None
        self._changes = 0

    async def get(self) -> T:
        """The value; raises what reading it raises."""
        async with self._lock:
            while self._read is None or not timedelta() <= self._clock() - self._read[0] < MAX_AGE:
                changes, at = self._changes, self._clock()
                value = await self._load()
                # What changed while it was read may or may not be in it.
                if changes == self._changes:
                    self._read = at, value
                    return value
            return self._read[1]

    def spoil(self) -> None:
        """The value has been changed."""
        self._changes += 1
        self._read = None
