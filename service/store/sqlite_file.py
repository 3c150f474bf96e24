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
_WAL_PAGES = 4000  # 16 MB; what is left of them by then is copied in a commit
_RETRY_SECONDS = 0.02


class DatabaseFile:
    """A SQLite database by its path. `sqlite3.Error` and OSError pass through: their meaning is the caller's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names = [f"{path}{suffix}" for suffix in ("", "-wal", "-shm")]
        self._identity: tuple[int, int] | None = None
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

    def exists(self) -> bool:
        return self._at_path() is not None

    def remember(self) -> None:
        """From now on `check` knows the file that is at the path."""
        self._identity = self._at_path()

    def check(self) -> None:
        """Raises StoreUnavailable unless the file at the path is the one that was remembered, and can be written.

        A commit to a file that was deleted succeeds, and is gone with the process. To open a second database at the
        path of the first, beside its log, is how databases get corrupted: that takes a restart. And SQLite writes to
        `-shm` through memory: where the file has become read-only, the kernel's answer is SIGBUS, not an error.
        """
        if self._at_path() != self._identity:
            raise StoreUnavailable("the file was deleted, moved or replaced: put it back, or restart the relay")
        for name in self._names:
            if not os.access(name, os.W_OK) and os.path.lexists(name):
                raise StoreUnavailable(f"{name} cannot be written")

    def _at_path(self) -> tuple[int, int] | None:
        """Device and inode."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - once a transaction: half the cost of Path.stat
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        """A new connection in autocommit mode, usable from one thread at a time."""
        connection = sqlite3.connect(
            self._uri,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        try:
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
    connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")


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
