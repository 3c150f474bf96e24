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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from service.domain.errors import StoreUnavailable
from service.store.engine import Tx, load_statements
from service.store.migrate import missing_migrations, outdated, upgrade_sqlite
from service.store.sqlite_file import DatabaseFile

T = TypeVar("T")

_GROUP = 128  # jobs a transaction takes at most: bounds how long the first of them waits
_WAITING = 2000  # jobs that may wait; a request beyond them is told to come back, memory stays bounded
_READERS = 2

# What a statement of ours can do wrong by itself; every other error of the database is the disk's or the lock's.
_OF_THE_JOB = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
)


@dataclass(slots=True, eq=False)
class _Job(Generic[T]):
    work: Callable[[Tx], T]
    future: asyncio.Future[T]
    result: T | None = None
    error: Exception | None = None

    def resolve(self) -> None:
        if self.future.cancelled():  # its request has gone away; what was committed stays committed
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # set whenever error is None


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a transaction did not come about. `job` is whose own error it was; `begun` tells whether it got that far."""

    error: Exception
    job: _Job[Any] | None
    begun: bool


@dataclass(slots=True)
class SqliteStats:
    """How well commits are shared, and how much waits for one."""

    commits: int = 0
    jobs: int = 0
    failures: int = 0
    waiting: int = 0


class SqliteEngine:
    """An open SQLite database. Create with `open`; every method is for the loop that opened it.

    `applied` holds the names of the migrations that opening it applied.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stats = SqliteStats()
        self.applied: Sequence[str] = ()
        self._file = DatabaseFile(path)
        self._statements = load_statements("sqlite", "sqlite3")
        self._gathered: list[_Job[Any]] = []
        self._queue: queue.SimpleQueue[Sequence[_Job[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._writer: sqlite3.Connection | None = None
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="relay-store-read")
        self._reader = threading.local()
        self._reading: set[sqlite3.Connection] = set()
        self._lock_file: int | None = None
        self._ended = False
        self._closed = False
        self._thread = threading.Thread(target=self._write_loop, name="relay-store-write", daemon=True)

    @classmethod
    async def open(cls, path: Path, *, upgrade: bool = True) -> SqliteEngine:
        """Open, creating and upgrading as needed; raises StoreUnavailable with the path and the remedy.

        Without `upgrade` nothing is created or changed, and a database that is not up to date is refused.
        """
        engine = cls(path)
        try:
            await engine._loop.run_in_executor(engine._readers, engine._prepare, upgrade)
        except BaseException:
            engine._readers.shutdown()
            engine._disconnect()
            raise
        engine._thread.start()
        return engine

    def _prepare(self, upgrade: bool) -> None:
        try:
            if upgrade:
                self._file.create()
            elif not self._file.exists():
                raise StoreUnavailable(f"there is no store {self.path}: `image-relay db upgrade` makes it")
            with closing(self._file.connect(read_only=True)) as look:  # what is not ours is not even switched to WAL
                missing = missing_migrations(look)
            if missing and not upgrade:
                raise outdated(missing)
            self._writer = self._file.connect()
            self.applied = upgrade_sqlite(self._writer) if missing else ()
            self._file.remember()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"cannot open the store {self.path}: {error}; check the folder's owner, free space and mount options"
            ) from error

    # -- writing

    async def write(self, job: Callable[[Tx], T]) -> T:
        """Run a job in a transaction that it may share with others, and return once that is on disk."""
        if self._closed:
            raise _closed()
        if self.stats.waiting >= _WAITING:
            raise StoreUnavailable("too much is waiting for the disk")
        entry: _Job[T] = _Job(job, self._loop.create_future())
        self.stats.waiting += 1
        if not self._gathered:
            # After all that is ready to run now: the thread is woken once, and commits once, for what that brings.
            self._loop.call_soon(self._pass_on)
        self._gathered.append(entry)
        return await entry.future

    def _pass_on(self) -> None:
        jobs, self._gathered = self._gathered, []
        for start in range(0, len(jobs), _GROUP):
            self._queue.put(jobs[start : start + _GROUP])

    def _write_loop(self) -> None:
        while jobs := self._next_jobs():
            failure = self._commit(jobs)
            if failure is not None:  # no transaction could even be begun: whoever waits has waited long enough
                rest = self._waiting_jobs(_WAITING)
                _fail(rest, failure)
                jobs += rest
            self._hand_back(jobs)

    def _next_jobs(self) -> list[_Job[Any]]:
        """Waits for jobs and takes those behind them along; none at the end."""
        first = None if self._ended else self._queue.get()
        return [] if first is None else [*first, *self._waiting_jobs(_GROUP - len(first))]

    def _waiting_jobs(self, limit: int) -> list[_Job[Any]]:
        jobs: list[_Job[Any]] = []
        while len(jobs) < limit and not self._ended and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                self._ended = True
            else:
                jobs += more
        return jobs

    def _commit(self, jobs: Sequence[_Job[Any]]) -> Exception | None:
        """All in one transaction, but those that fail by themselves; the error where none could be begun."""
        left = list(jobs)
        while left:
            failure = self._transaction(left)
            if failure is None:
                return None
            if failure.job is not None:
                _fail([failure.job], failure.error)
                left.remove(failure.job)
            elif failure.begun and len(left) > 1:
                return self._commit_alone(left)
            else:
                _fail(left, failure.error)
                return None if failure.begun else failure.error
        return None

    def _commit_alone(self, jobs: Sequence[_Job[Any]]) -> Exception | None:
        """One transaction a job: it may have been one of them, a large one, that the disk had no room for."""
        for number, job in enumerate(jobs, 1):
            failure = self._commit([job])
            if failure is not None:
                _fail(jobs[number:], failure)
                return failure
        return None

    def _transaction(self, jobs: Sequence[_Job[Any]]) -> _Failure | None:
        """One attempt at all of them, or none."""
        begun, current = False, None
        try:
            connection = self._current_writer()
            connection.execute("BEGIN IMMEDIATE")
            begun = True
            tx = Tx(self._statements, connection)
            for current in jobs:
                current.result = current.work(tx)
            current = None
            connection.execute("COMMIT")
        except Exception as error:
            self._roll_back()
            if not begun or (isinstance(error, sqlite3.Error) and not isinstance(error, _OF_THE_JOB)):
                self.stats.failures += 1
                return _Failure(StoreUnavailable(f"the store {self.path} cannot commit: {error}"), None, begun)
            return _Failure(error, current, begun)
        self.stats.commits += 1
        self.stats.jobs += len(jobs)
        return None

    def _current_writer(self) -> sqlite3.Connection:
        self._file.check()
        if self._writer is None:
            self._writer = self._file.connect()
        return self._writer

    def _roll_back(self) -> None:
        """Back to a connection without a transaction, or to none, in place of which the next transaction opens one."""
        try:
            if self._writer is not None and self._writer.in_transaction:  # some errors have rolled it back already
                self._writer.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._writer = self._writer, None
        if connection is not None:
            connection.close()

    def _hand_back(self, jobs: list[_Job[Any]]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._resolve, jobs)
        except RuntimeError:  # the loop was closed before the store: nobody waits for results any more
            self._ended = True
            self._disconnect()

    def _resolve(self, jobs: list[_Job[Any]]) -> None:
        self.stats.waiting -= len(jobs)
        for job in jobs:
            job.resolve()

    # -- reading

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Run a reading job on what is committed."""
        if self._closed:
            raise _closed()
        return await self._loop.run_in_executor(self._readers, self._read, job)

    def _read(self, job: Callable[[Tx], T]) -> T:
        try:
            return job(Tx(self._statements, self._current_reader()))
        except sqlite3.Error as error:
            self._drop_reader()
            raise StoreUnavailable(f"the store {self.path} cannot be read: {error}") from error

    def _current_reader(self) -> sqlite3.Connection:
        self._file.check()
        connection: sqlite3.Connection | None = getattr(self._reader, "connection", None)
        if connection is None:
            connection = self._reader.connection = self._file.connect(read_only=True)
            self._reading.add(connection)
        return connection

    def _drop_reader(self) -> None:
        connection: sqlite3.Connection | None = getattr(self._reader, "connection", None)
        if connection is not None:
            self._reader.connection = None
            self._reading.discard(connection)
            connection.close()

    # -- leading

    def try_lead(self) -> bool:
        """An exclusive lock on a file beside the database; the kernel lets go of it when the process ends."""
        if self._lock_file is not None:
            return True
        try:
            handle = os.open(f"{self.path}.dispatch", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"the lock file of the store cannot be opened: {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._lock_file = handle
        return True

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        if self._closed:
            return
        self._closed = True
        self._pass_on()
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._shut)

    def _shut(self) -> None:
        self._thread.join()
        self._readers.shutdown()
        for connection in self._reading:
            connection.close()
        self._disconnect()
        if self._lock_file is not None:
            os.close(self._lock_file)


def _fail(jobs: Sequence[_Job[Any]], error: Exception) -> None:
    for job in jobs:
        job.error = error


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the store is closed")
