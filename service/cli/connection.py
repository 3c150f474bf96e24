"""An HTTP connection: uvicorn's, which bounds neither the size of what comes before a body nor the time it takes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from service.cli.joined_writes import HttpProtocol
from service.domain.log import log
from service.ingest.answers import error

HEAD_BYTES = 64 * 1024
"""How large the request line and the headers may be together, and what may follow a chunked body."""


class Connection(HttpProtocol):
    """Closes itself when a head is too large, or takes longer than `head_seconds`, counted from the connection on."""

    head_seconds: float

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Counted until the parser says that a head is complete, or that it was a body's: what it keeps is no more.
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head:  # most heads come whole, and cost no timer
            self._await_head()
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        super().on_message_complete()

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        log.info("connection.closed", reason="headers_too_slow")
        self.transport.close()

    def _refuse_head(self) -> None:
        log.info("connection.closed", reason="headers_too_large")
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        if cycle is None or cycle.response_complete:
            self.transport.write(_TOO_LARGE)
        self.transport.close()


def _refusal() -> bytes:
    response = error(431, "headers_too_large", f"the headers are over {HEAD_BYTES} bytes", {"connection": "close"})
    lines = [b"HTTP/1.1 431 Request Header Fields Too Large", *(b": ".join(pair) for pair in response.raw_headers)]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


_TOO_LARGE = _refusal()


def connection_type(seconds: float) -> type[Connection]:
    """The connections of a server on which a head may take so many seconds."""
    return type("Connection", (Connection,), {"head_seconds": seconds})
