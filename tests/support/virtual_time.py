"""An event loop whose time passes only while nothing else can: hours of waiting in milliseconds, the same every run."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

START = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class _Selector(selectors.DefaultSelector):
    """In place of waiting, moves the time on."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everything waits, and nothing will ever happen")
            self.skipped += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its `time()` starts at 0. For coroutines alone: a thread's work would be over only after hours."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.skipped


def clock() -> datetime:
    """START and what has passed on the running loop."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


def simulate(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs `main()` on a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def until(check: Callable[[], bool], seconds: float = 3600) -> None:
    """Lets time pass until the answer is yes, in steps of 10 ms that grow with what has passed."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(max(0.01, (loop.time() - begun) / 1000))
