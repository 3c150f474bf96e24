"""SQLite: one writer thread that commits what waits together, and a few reader threads beside it.

WAL lets readers and the writer work at the same time; `synchronous=FULL` puts every commit on disk before it is
acknowledged. See https://www.sqlite.org/wal.html and https://www.sqlite.org/pragma.html#pragma_synchronous.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from service.domain.errors import StoreUnavailable
from service.store.engine import Tx, load_statements
from service.store.migrate import upgrade_sqlite

T = TypeVar("T")

_GROUP = 128  # jobs a transaction takes at most: bounds how long the first of them waits
_WAITING = 2000  # jobs that may wait; a request beyond them is told to come back, memory stays bounded
_BUSY_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    work: Callable[[Tx], T]
    future: asyncio.Future[T]
    result: T | None = None
    error: BaseException | None = None

    def resolve(self) -> None:
        if self.future.cancelled():  # its request has gone away; what was committed stays committed
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # set whenever error is None


@dataclass(slots=True)
class SqliteStats:
    """For logs, metrics and the benchmark: how well commits are shared."""

    commits: int = 0
    jobs: int = 0
    failures: int = 0
    waiting: int = field(default=0)


class SqliteEngine:
    """An open SQLite database. Create with `open`; every method is for the loop that opened it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stats = SqliteStats()
        self.applied: list[str] = []
        self._statements = load_statements("sqlite", "sqlite3")
        self._queue: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="relay-store-read")
        self._reader_connections: list[sqlite3.Connection] = []
        self._lock_file: int | None = None
        self._closed = False
        self._tx = Tx(self._statements, None)
        self._thread = threading.Thread(target=self._write_loop, name="relay-store-write", daemon=True)

    @classmethod
    async def open(cls, path: Path, *, upgrade: bool = True) -> SqliteEngine:
        """Open, creating and upgrading as needed; raises StoreUnavailable with the path and the remedy."""
        engine = cls(path)
        await asyncio.get_running_loop().run_in_executor(None, engine._prepare, upgrade)
        engine._thread.start()
        return engine

    def _prepare(self, upgrade: bool) -> None:
        try:
            if upgrade and self.path.parent != Path():
                self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._connect()
            if upgrade:
                self.applied = upgrade_sqlite(connection)
            self._tx.connection = connection
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"cannot open the store {self.path}: {error}; check the folder's owner, free space and mount options"
            ) from error

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.row_factory = sqlite3.Row
        # Pages of a crash may be torn without FULL in WAL mode: an acknowledged webhook would be gone.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=67108864")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        return connection

    # -- writing

    async def write(self, job: Callable[[Tx], T]) -> T:
        if self._closed or self.stats.waiting >= _WAITING:
            raise StoreUnavailable("too much is waiting for the disk" if not self._closed else "the store is closed")
        entry: _Job[T] = _Job(job, self._loop.create_future())
        self.stats.waiting += 1
        self._queue.put(entry)
        return await entry.future

    def _write_loop(self) -> None:
        closing = False
        while not closing:
            jobs = []
            first = self._queue.get()
            while first is not None:
                jobs.append(first)
                if len(jobs) == _GROUP or self._queue.empty():
                    break
                first = self._queue.get()
            closing = first is None
            if jobs:
                self._commit(jobs)
                self._loop.call_soon_threadsafe(self._resolve, jobs)

    def _resolve(self, jobs: list[_Job[Any]]) -> None:
        self.stats.waiting -= len(jobs)
        for job in jobs:
            job.resolve()

    def _commit(self, jobs: list[_Job[Any]]) -> None:
        """One transaction for all; if any of them fails, each on its own, so that it fails alone."""
        failure = self._transaction(jobs)
        if failure is None:
            return
        if len(jobs) == 1:
            jobs[0].error = failure
            return
        for job in jobs:
            job.error = self._transaction([job])

    def _transaction(self, jobs: list[_Job[Any]]) -> BaseException | None:
        try:
            if self._tx.connection is None:
                self._tx.connection = self._connect()
            connection = self._tx.connection
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                job.result = job.work(self._tx)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.stats.failures += 1
            self._reconnect()
            return StoreUnavailable(f"the store {self.path} cannot commit: {error}")
        except Exception as error:  # a job's own error, whatever it is, belongs to whoever awaits the job
            self._rollback()
            return error
        self.stats.commits += 1
        self.stats.jobs += len(jobs)
        return None

    def _rollback(self) -> None:
        try:
            self._tx.connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._reconnect()

    def _reconnect(self) -> None:
        """After a disk error the connection's state is anybody's guess: closing it rolls back, the next job reopens."""
        connection, self._tx.connection = self._tx.connection, None
        if connection is not None:
            connection.close()

    # -- reading

    async def read(self, job: Callable[[Tx], T]) -> T:
        return await self._loop.run_in_executor(self._readers, self._read, job)

    def _read(self, job: Callable[[Tx], T]) -> T:
        try:
            tx: Tx | None = getattr(self._local, "tx", None)
            if tx is None:
                tx = self._local.tx = Tx(self._statements, self._connect(read_only=True))
                self._reader_connections.append(tx.connection)
            return job(tx)
        except sqlite3.Error as error:
            self._local.tx = None
            raise StoreUnavailable(f"the store {self.path} cannot be read: {error}") from error

    # -- leading

    def try_lead(self) -> bool:
        """An exclusive lock on a file beside the database; the kernel lets go of it when the process ends."""
        if self._lock_file is not None:
            return True
        handle = os.open(f"{self.path}.dispatch", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock_file = handle
        return True

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._thread.is_alive():
            self._queue.put(None)
            await self._loop.run_in_executor(None, self._thread.join)
            await asyncio.sleep(0)  # the last jobs' results are queued on this loop
        self._readers.shutdown()
        for connection in [*self._reader_connections, self._tx.connection]:
            if connection is not None:
                connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
