"""Waiting that ends early when it should."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.dispatch.limits import STORE_PAUSE, Random, backoff
from service.domain.errors import StoreUnavailable
from service.domain.log import log

T = TypeVar("T")


async def pause(event: asyncio.Event, seconds: float | None) -> None:
    """Until the event is set or the time is over; None: however long that takes."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({waiting}, timeout=seconds)
    finally:
        waiting.cancel()


async def insist(job: Callable[[], Awaitable[T]], what: str, *, stopping: asyncio.Event, random: Random) -> T:
    """Does what the store must not miss, again and again until it is done; raises StoreUnavailable once stopping."""
    failures = 0
    while True:
        try:
            return await job()
        except StoreUnavailable as error:
            failures += 1
            log.warning("store.unavailable", doing=what, reason=str(error), failures=failures)
            if stopping.is_set():
                raise
        await pause(stopping, backoff(failures, random, STORE_PAUSE).total_seconds())
