"""SQLite: one writer thread that commits what waits together, and a few reader threads beside it.

WAL lets readers and the writer work at the same time, and one more thread bring the log into the database;
`synchronous=FULL` puts every commit on disk before it is acknowledged. See https://www.sqlite.org/wal.html and
https://www.sqlite.org/pragma.html#pragma_synchronous.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from service.domain.clock import Clock
from service.domain.errors import StoreUnavailable
from service.domain.log import log
from service.store.checkpoints import Checkpointer
from service.store.engine import Tx
from service.store.lanes import LockedLanes
from service.store.migrate import missing_migrations, outdated, upgrade_sqlite
from service.store.sqlite_file import BUSY_SECONDS, DatabaseFile
from service.store.statements import Statements, load_statements
from service.store.threaded import ThreadedEngine

T = TypeVar("T")

_NO_WAIT = "PRAGMA busy_timeout=0"  # for another process's transaction, before anybody has been told of the wait

# What a statement of ours can do wrong by itself; every other error of the database is the disk's or the lock's.
_OF_THE_JOB = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
)


class _Writer:
    """The writing thread's connection: opened anew after whatever ended it."""

    in_process = True

    def __init__(self, file: DatabaseFile, statements: Statements, failed: Callable[[Exception], None]) -> None:
        """`failed` is told, in some thread, why the log could not be brought into the database."""
        self._file = file
        self._statements = statements
        self._connection: sqlite3.Connection | None = None
        self._checkpointer = Checkpointer(file, failed)

    def prepare(self, *, upgrade: bool) -> Sequence[str]:
        """Connect, and bring the database up to date; the names of the migrations that took."""
        with closing(self._file.connect(read_only=True)) as look:  # what is not ours is not even switched to WAL
            missing = missing_migrations(look)
        if missing and not upgrade:
            raise outdated(missing)
        applied: Sequence[str] = ()
        if missing:
            with closing(self._file.connect()) as connection:
                applied = upgrade_sqlite(connection)
        self._connection = self._connected()
        return applied

    def begin(self, waits: Callable[[], None], /) -> Tx:
        self._file.check()
        if self._connection is None:
            self._connection = self._connected()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            waits()
            self._connection.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            finally:
                self._connection.execute(_NO_WAIT)
        return Tx(self._statements, self._connection)

    def commit(self) -> None:
        assert self._connection is not None, "a transaction has been begun"
        self._connection.execute("COMMIT")
        self._checkpointer.committed(self._connection.total_changes)

    def roll_back(self) -> None:
        try:
            if self._connection is not None and self._connection.in_transaction:  # some errors have done it already
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.drop()

    def drop(self) -> None:
        self._checkpointer.stop()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        connection = self._file.connect()
        # What a statement may have to take back goes to a temporary file else, page by page, as large as the log and
        # never read. No statement of ours touches more rows than a group has, or a step of retention: memory is
        # bounded. An upgrade has a connection of its own: what sorts a table for an index needs the file.
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute(_NO_WAIT)
        return connection

    def of_the_job(self, error: Exception) -> bool:
        return not isinstance(error, sqlite3.Error) or isinstance(error, _OF_THE_JOB)

    def in_the_way(self, _error: Exception, /) -> bool:
        return False  # BEGIN IMMEDIATE has waited for all others

    def trouble(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"the store {self._file.path} cannot commit: {error}")


class SqliteEngine(ThreadedEngine):
    """An open SQLite database. Create with `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = DatabaseFile(path)
        self._statements = Statements(load_statements("sqlite"))
        self._database = _Writer(self._file, self._statements, self._not_copied)
        super().__init__(self._database)
        self._reader = threading.local()
        self._reading: set[sqlite3.Connection] = set()
        self._lock_file: int | None = None

    @classmethod
    async def open(cls, path: Path, *, upgrade: bool = True) -> SqliteEngine:
        """Open, creating and upgrading as needed; raises StoreUnavailable with the path and the remedy.

        Without `upgrade` nothing is created or changed, and a database that is not up to date is refused.
        """
        return await cls(path).opened(upgrade=upgrade)

    def _prepare(self, upgrade: bool) -> None:
        try:
            if upgrade:
                self._file.create()
            elif not self._file.exists():
                raise StoreUnavailable(f"there is no store {self.path}: `image-relay db upgrade` makes it")
            self.applied = self._database.prepare(upgrade=upgrade)
            self._file.remember()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"cannot open the store {self.path}: {error}; check the folder's owner, free space and mount options"
            ) from error

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

    def _not_copied(self, error: Exception) -> None:
        """In another thread: the log grows, and whoever looks after the disk should know why."""
        tell = partial(log.warning, "store.log_kept", path=str(self.path), error=str(error))
        with suppress(RuntimeError):  # the loop was closed before the store: nobody is left to tell
            self._loop.call_soon_threadsafe(tell)

    def clock(self, own: Clock, /) -> Clock:
        """The machine's own clock: there is no other machine."""
        return own

    def listen(self, _heard: Callable[[str], None], /) -> None:
        """Nothing tells one process of another's commits: a look every second finds them."""

    def lanes(self, _worker: str, _seconds: float, /) -> LockedLanes:
        """All lanes or none: this process leads, or another does."""
        return LockedLanes(self.try_lead)

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

    def _let_go(self) -> None:
        for connection in self._reading:
            connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)
