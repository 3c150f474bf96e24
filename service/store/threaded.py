"""What every database's engine does alike: one thread that writes in groups, a few that read, an orderly end."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from service.domain.errors import StoreUnavailable
from service.store.engine import Tx
from service.store.group_writer import Connection, GroupWriter, WriterStats

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item

_READERS = 2


class ThreadedEngine(ABC):
    """An open database; every method is for the loop that opened it.

    `applied` holds the names of the migrations that opening it applied.
    """

    def __init__(self, connection: Connection) -> None:
        self.applied: Sequence[str] = ()
        self._connection = connection
        self._writer = GroupWriter(connection, "relay-store-write")
        self._loop = asyncio.get_running_loop()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="relay-store-read")
        self._closed = False

    @property
    def stats(self) -> WriterStats:
        """How well commits are shared."""
        return self._writer.stats

    def measure(self, told: Callable[[int, float], None]) -> None:
        """From now on the writing thread calls `told` after each commit, with its jobs and its seconds."""
        self._writer.stats.told = told

    def while_committing(self, work: Callable[[], None]) -> None:
        """From now on the loop calls `work` each time a transaction is being put on disk."""
        self._writer.meanwhile = work

    async def opened(self, *, upgrade: bool) -> Self:
        """This engine, once its database is open; raises StoreUnavailable."""
        try:
            await self._loop.run_in_executor(self._readers, self._prepare, upgrade)
        except BaseException:
            self._readers.shutdown()
            self._connection.drop()
            raise
        self._writer.start()
        return self

    def write(self, job: Callable[[Tx], T]) -> Awaitable[T]:
        """Run a job in a transaction that it may share with others, and return once that is on disk."""
        return self._failed() if self._closed else self._writer.write(job)

    def write_joined(
        self, join: Callable[[Tx, Sequence[I]], Sequence[T]], items: Sequence[I]
    ) -> Awaitable[Sequence[T | Exception]]:
        """As `write`, together with the other items for the same `join`; what each came to."""
        return self._failed() if self._closed else self._writer.write_joined(join, items)

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Run a reading job on what is committed."""
        if self._closed:
            raise _closed()
        return await self._loop.run_in_executor(self._readers, self._read, job)

    def _failed(self) -> asyncio.Future[Any]:
        failed = self._loop.create_future()
        failed.set_exception(_closed())
        return failed

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        if self._closed:
            return
        self._closed = True
        self._writer.finish()
        await self._loop.run_in_executor(None, self._shut)

    def _shut(self) -> None:
        self._writer.join()
        self._readers.shutdown()
        self._let_go()
        self._connection.drop()

    @abstractmethod
    def _prepare(self, upgrade: bool) -> None:
        """In a thread: connect and, where that is allowed, bring the database up to date; raises StoreUnavailable."""

    @abstractmethod
    def _read(self, job: Callable[[Tx], T]) -> T:
        """In one of the reading threads; raises StoreUnavailable."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close what is open beside the writer's connection; no other thread uses it any more."""


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the store is closed")
