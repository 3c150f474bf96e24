"""Reading a request's body: once, within a size and a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import StrEnum

from starlette.types import Receive


class Unread(StrEnum):
    """Why there is no body: over the limit, not there in time, its sender went away, or the relay stopped meanwhile."""

    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    GONE = "gone"
    STOPPED = "stopped"


class BodyReader:
    """Reads bodies of at most `limit` bytes, each within `seconds`.

    Starlette's own `max_body_size` answers in plain text, and in place of whatever the endpoint would have said.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        # When each body is overdue, the first one first. One timer for all of them: nearly every body is there at
        # once, and a timer of its own would cost more than reading it.
        self._due: dict[asyncio.Task[object], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, headers: Iterable[tuple[bytes, bytes]]) -> bytes | Unread:
        """The whole body. One that is too large is given up at once where it is declared, else at the byte too many."""
        if _declared(headers) > self._limit:
            return Unread.TOO_LARGE
        task = asyncio.current_task()
        assert task is not None, "a request is served in a task"
        self._begin(task)
        try:
            return await _collected(receive, self._limit)
        except asyncio.CancelledError:
            if task not in self._due:
                task.uncancel()
                return Unread.TOO_SLOW
            # The server stops and has waited long enough. Passed on, it would be a 500 and a traceback in the log.
            return Unread.STOPPED
        finally:
            self._due.pop(task, None)

    def _begin(self, task: asyncio.Task[object]) -> None:
        loop = asyncio.get_running_loop()
        self._due[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._give_up)

    def _give_up(self) -> None:
        """Cancels what is overdue, and comes back for the next one."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._due:
            task, due = next(iter(self._due.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._give_up)
                return
            del self._due[task]
            task.cancel()


def _declared(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The Content-Length, 0 where there is none that says anything."""
    declared = 0
    for name, value in headers:
        if name == b"content-length" and _is_length(value):
            declared = max(declared, int(value))
    return declared


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) < 20  # int() is slow on, and refuses, absurdly long numbers


async def _collected(receive: Receive, limit: int) -> bytes | Unread:
    body = bytearray()  # and no list of pieces: a million pieces of one byte would take forty times their size
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return Unread.GONE
        piece: bytes = message.get("body", b"")
        if len(body) + len(piece) > limit:
            return Unread.TOO_LARGE
        if not message.get("more_body", False):
            return bytes(body + piece) if body else piece
        body += piece
