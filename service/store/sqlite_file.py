"""The database file: made for its owner alone, opened the way durability needs it, and known again later."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from service.domain.errors import StoreUnavailable

BUSY_SECONDS = 5.0
"""How long a statement waits for another process's transaction."""

_WAL_BYTES = 64 * 1024 * 1024
_RETRY_SECONDS = 0.02


class Connection(sqlite3.Connection):
    """A connection that knows which file (device and inode) it has open."""

    identity: tuple[int, int] | None = None


class DatabaseFile:
    """A SQLite database by its path. `sqlite3.Error` and OSError pass through: their meaning is the caller's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._uri = path.absolute().as_uri() + "?mode=rw"  # never create: a file that went missing is no empty store

    def create(self) -> None:
        """Make an empty file, and its folder, unless there is one.

        SQLite gives the files it puts beside the database the mode of the database.
        """
        if self.path.exists():
            # Not touched: closing a second handle on the file would give up SQLite's locks on it in this process.
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def identity(self) -> tuple[int, int] | None:
        """Which file is at the path now, None for none."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - once a transaction: half the cost of Path.stat
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def connect(self, *, read_only: bool = False) -> Connection:
        """A new connection in autocommit mode, usable from one thread at a time."""
        identity = self.identity()
        connection = sqlite3.connect(
            self._uri,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=Connection,
        )
        try:
            connection.identity = identity
            connection.row_factory = sqlite3.Row
            if read_only:
                connection.execute("PRAGMA query_only=ON")
            else:
                _make_durable(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _make_durable(connection: sqlite3.Connection) -> None:
    mode = _write_ahead(connection)
    if mode != "wal":
        raise StoreUnavailable(
            f"the file system has no shared memory for SQLite's write-ahead log (journal mode {mode}): "
            "put the store on a local disk"
        )
    # In WAL mode anything less than FULL acknowledges commits that a power cut takes back:
    # https://www.sqlite.org/pragma.html#pragma_synchronous
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")


def _write_ahead(connection: sqlite3.Connection) -> str:
    """Switch to WAL; the mode it is in then. SQLite does not wait for the lock that the first switch takes: we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(_RETRY_SECONDS)
