"""uvicorn's HTTP protocol with an answer's head and body in one write.

uvicorn writes them one after the other, and each write wakes whoever waits for the answer: with small answers, that
costs more than making them.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LINGERING = 2.0
"""Seconds for which what was not read of a body is taken and dropped, once its answer is sent."""


class JoinedWrites:
    """A transport that sends at the end of the loop's turn what was written in it; all else is the transport's own.

    Closed while there is something `unread`, it ends its own side, and takes what comes for a while longer: the kernel
    answers data that nobody reads with a reset, which overtakes the answer on its way.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.unread = False
        self.lingers = False
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, piece: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self._send)
        self._pieces.append(piece)

    def write_now(self, piece: bytes) -> None:
        """For a piece that nothing follows."""
        self._send()
        self._transport.write(piece)

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        self._send()
        if not self.unread:
            self._transport.close()
        elif not self.is_closing():
            self.lingers = True
            self._transport.write_eof()
            self._transport.resume_reading()
            self._loop.call_later(LINGERING, self._transport.close)

    def _send(self) -> None:
        if not self._pieces:
            return
        data = b"".join(self._pieces)
        self._pieces.clear()
        if data and not self.is_closing():
            self._transport.write(data)


class HttpProtocol(HttpToolsProtocol):
    """For uvicorn's `http` option."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(cast(asyncio.Transport, JoinedWrites(transport)))
