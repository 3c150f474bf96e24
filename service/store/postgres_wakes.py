"""LISTEN and NOTIFY: a process is told at once of purges that another took in for one of its projects.

Where PgBouncer stands between in transaction mode, nothing comes through, and a look every second finds them instead.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import psycopg

from service.domain.log import log

Connect = Callable[[], psycopg.Connection[tuple[object, ...]]]

CHANNEL = "relay_purges"

_POLL_SECONDS = 0.3  # between looks whether it is time to end
_PAUSE_SECONDS = 2.0  # before a lost connection is opened anew


class Listener:
    """A thread that hears which projects have something due. Made and ended by the loop that `heard` belongs to."""

    def __init__(self, connect: Connect, heard: Callable[[str], None]) -> None:
        self._connect = connect
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay-store-listen", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def end(self) -> None:
        """Stop, and wait for that: for another thread than the loop's."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        told = False
        while not self._ending.is_set():
            try:
                with self._connect() as connection:
                    connection.execute("LISTEN relay_purges")
                    told = False
                    while not self._ending.is_set():
                        for notice in connection.notifies(timeout=_POLL_SECONDS):
                            self._loop.call_soon_threadsafe(self._heard, notice.payload)
            except (psycopg.Error, RuntimeError) as error:  # the server is away, or the loop has been closed
                if not told:
                    log.warning("store.not_listening", reason=str(error).partition("\n")[0])
                told = True
                self._ending.wait(_PAUSE_SECONDS)


def notify(cursor: psycopg.Cursor[tuple[object, ...]], project: str) -> None:
    """Tell every process, once the transaction is committed."""
    cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, project])
