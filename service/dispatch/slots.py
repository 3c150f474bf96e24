"""How many calls go at a time over all projects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class Slots:
    """The places for calls. What a project has beyond its first call leaves some for the first call of the others,
    so that projects whose calls hang do not keep the rest waiting."""

    def __init__(self, total: int, projects: int) -> None:
        kept_free = min(max(projects - 1, 0), total // 2)
        self._all = asyncio.Semaphore(total)
        self._further = asyncio.Semaphore(max(1, total - 1 - kept_free))

    @property
    def crowded(self) -> bool:
        """Whether a further call of a project would have to wait."""
        return self._all.locked() or self._further.locked()

    @asynccontextmanager
    async def one(self, *, further: bool) -> AsyncIterator[None]:
        """A place until the end of the block; `further` for a project that has a call under way."""
        async with AsyncExitStack() as stack:
            if further:
                await stack.enter_async_context(self._further)
            await stack.enter_async_context(self._all)
            yield
