"""SQLite's log brought into the database by a thread of its own, so that no webhook waits for it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing

from service.domain.errors import StoreUnavailable
from service.store.sqlite_file import DatabaseFile

CHANGES = 2000
"""Rows written after which what they have put into the log is copied: 500 webhooks, some megabytes."""


class Checkpointer:
    """Copies pages out of the log beside those who write to it: a passive checkpoint keeps nobody waiting.

    While it copies, more comes behind, so it never reaches the end under load, where the log could begin anew: the last
    pages are left to SQLite itself, which does that in the writer's commit. Every method but its thread's is for the
    writing thread. See https://www.sqlite.org/wal.html#ckpt.
    """

    def __init__(self, file: DatabaseFile, failed: Callable[[Exception], None]) -> None:
        """`failed` is called, in some thread, with what went wrong; it is tried again after as many rows."""
        self._file = file
        self._failed = failed
        self._changes = 0  # when it was last told to copy
        self._due = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None  # made for the first rows: a command writes fewer

    def committed(self, changes: int) -> None:
        """To be told after each commit how many rows its connection has written since it was opened."""
        if changes - self._changes < CHANGES:
            return
        self._changes = changes
        self._due.set()
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="relay-store-checkpoint", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system gives no more threads; what was committed is no failure for that
            self._failed(error)
        else:
            self._thread = thread

    def stop(self) -> None:
        """End the thread; the next commit is a new connection's."""
        thread, self._thread, self._changes = self._thread, None, 0
        if thread is not None:
            self._ended = True
            self._due.set()
            thread.join()
            self._ended = False
        self._due.clear()

    def _run(self) -> None:
        try:
            with closing(self._file.connect()) as connection:
                while self._is_due():
                    self._file.check()
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (sqlite3.Error, OSError, StoreUnavailable) as error:
            self._failed(error)

    def _is_due(self) -> bool:
        """Waits for it; False at the end."""
        self._due.wait()
        self._due.clear()
        return not self._ended
