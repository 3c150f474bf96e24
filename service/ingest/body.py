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


async def read_body(
    receive: Receive, headers: Iterable[tuple[bytes, bytes]], limit: int, seconds: float
) -> bytes | Unread:
    """The whole body. One over `limit` bytes is given up at once where it is declared, else at the byte too many.

    Starlette's own `max_body_size` answers in plain text, and in place of whatever the endpoint would have said.
    """
    if _declared(headers) > limit:
        return Unread.TOO_LARGE
    try:
        async with asyncio.timeout(seconds):
            return await _collected(receive, limit)
    except TimeoutError:
        return Unread.TOO_SLOW
    except asyncio.CancelledError:
        # The server stops and has waited long enough. Passed on, it would be a 500 and a traceback in the log.
        return Unread.STOPPED


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
