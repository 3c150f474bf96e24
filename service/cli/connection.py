"""An HTTP connection: uvicorn's, which bounds neither the size of what comes before a body nor the time it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.cli.joined_writes import HttpProtocol, JoinedWrites
from service.domain.log import log
from service.ingest.answers import error
from service.ingest.endpoint import Whole

HEAD_BYTES = 64 * 1024
"""How large the request line and the headers may be together, and what may follow a chunked body."""


class Connection(HttpProtocol):
    """Closes itself when a head is too large, or takes longer than `head_seconds`, counted from the connection on.

    A POST to one of `hooks` that comes in one piece, as nearly all webhooks do, is answered by what stands there: what
    uvicorn does for an ASGI application costs as much as all that the relay does before a webhook is stored. Whatever
    is the least unusual goes uvicorn's way.
    """

    head_seconds: float
    hooks: Mapping[bytes, Whole]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_bytes = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._hook: Whole | None = None  # of the request that is being read
        self._pieces: list[bytes] = []  # of its body
        self._quiet_since: float | None = None
        self._quiet_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._writes = cast(JoinedWrites, self.transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._quiet_timer is not None:
            self._quiet_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._writes.lingers:
            return
        # Counted until the parser says that a head is complete, or that it was a body's: what it keeps is no more.
        self._head_bytes += len(data)
        super().data_received(data)
        if self._hook is not None:
            self._leave_to_uvicorn()
        if self._in_head:  # most heads come whole, and cost no timer
            self._await_head()
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._quiet_since = None  # an empty line between two requests begins none

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        self._in_head = False
        self._stop_waiting()
        hook = self.hooks.get(self.url)
        if hook is not None and self._is_plain():
            self._hook = hook
        else:
            self._writes.unread = True
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        if self._hook is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        hook, self._hook = self._hook, None
        if hook is None:
            self._writes.unread = False
            super().on_message_complete()
            return
        body = b"".join(self._pieces)
        self._pieces.clear()
        exchange = Exchange(self.parser.should_keep_alive(), self.transport.close)
        self.cycle = cast(RequestResponseCycle, exchange)
        self.tasks.add(cast("asyncio.Task[None]", exchange))  # which uvicorn waits for, and cancels, when it stops
        hook(self.headers, body, partial(self._reply, exchange))

    def on_response_complete(self) -> None:
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self._quiet_since = self.loop.time()
            if self._quiet_timer is None:  # and not one for each request, as uvicorn has it
                self._quiet_timer = self.loop.call_later(self.timeout_keep_alive, self._end_quiet)

    def _end_quiet(self) -> None:
        """Closes what nothing has come on for as long as a connection is kept, and waits for the rest of that else."""
        self._quiet_timer = None
        if self._quiet_since is not None:
            due = self._quiet_since + self.timeout_keep_alive
            if due > self.loop.time():
                self._quiet_timer = self.loop.call_at(due, self._end_quiet)
            else:
                self.transport.close()

    def _is_plain(self) -> bool:
        """Whether the request asks nothing of HTTP but to be answered, and there is nothing to wait for before it."""
        parser, limit = self.parser, self.limit_concurrency
        return (
            parser.get_method() == b"POST"
            and not self._is_answering()
            and not self.expect_100_continue
            and not parser.should_upgrade()
            and parser.get_http_version() == "1.1"
            and (limit is None or (len(self.connections) < limit and len(self.tasks) < limit))
        )

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _leave_to_uvicorn(self) -> None:
        """The body has not come with its head: there is a time to be kept."""
        self._hook = None
        pieces, self._pieces = self._pieces, []
        if not self.transport.is_closing():
            self._writes.unread = True
            super().on_headers_complete()
            for piece in pieces:
                super().on_body(piece)

    def _reply(self, exchange: Exchange, response: Response) -> None:
        self.tasks.discard(cast("asyncio.Task[None]", exchange))
        if exchange.disconnected or exchange.response_complete:
            return
        if not self.flow.write_paused:
            self._write(exchange, response)
            return
        task = self.loop.create_task(self._write_later(exchange, response))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _write_later(self, exchange: Exchange, response: Response) -> None:
        """For a client that sends and does not read."""
        await self.flow.drain()
        if not exchange.disconnected:
            self._write(exchange, response)

    def _write(self, exchange: Exchange, response: Response) -> None:
        lines: list[bytes | memoryview] = [STATUS_LINE[response.status_code]]
        for name, value in (*self.server_state.default_headers, *response.raw_headers):
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"connection":  # which the relay's own answers have only to end it
                exchange.ends = True
        if exchange.ends or exchange.keep_alive:
            lines += (b"\r\n", response.body)
        else:
            lines += (b"connection: close\r\n\r\n", response.body)
        self._writes.write_now(b"".join(lines))
        exchange.response_complete = True
        if exchange.ends or not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

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
        if not self._is_answering():
            self.transport.write(_TOO_LARGE)
        self._writes.unread = False  # what are the trailers of a body, to wait for their end would be no bound
        self.transport.close()


class Exchange:
    """What uvicorn looks at of the request that is being answered, and tells it."""

    __slots__ = ("_hang_up", "disconnected", "ends", "keep_alive", "response_complete")

    def __init__(self, keep_alive: bool, hang_up: Callable[[], None]) -> None:
        self._hang_up = hang_up
        self.keep_alive = keep_alive  # False when the server stops meanwhile
        self.disconnected = False
        self.response_complete = False
        self.ends = False  # the connection, by the answer's own words

    @property
    def message_event(self) -> Exchange:
        return self

    def set(self) -> None:
        """Nobody waits for the rest of a body."""

    def cancel(self, msg: str) -> None:  # noqa: ARG002 - as uvicorn calls it
        """The server stops and has waited long enough."""
        self._hang_up()


def _refusal() -> bytes:
    response = error(431, "headers_too_large", f"the headers are over {HEAD_BYTES} bytes", {"connection": "close"})
    lines = [b"HTTP/1.1 431 Request Header Fields Too Large", *(b": ".join(pair) for pair in response.raw_headers)]
    return b"\r\n".join([*lines, b"", bytes(response.body)])


_TOO_LARGE = _refusal()


def connection_type(seconds: float, hooks: Mapping[bytes, Whole]) -> type[Connection]:
    """The connections of a server on which a head may take so many seconds, and where what answers to `hooks`."""
    return type("Connection", (Connection,), {"head_seconds": seconds, "hooks": hooks})
