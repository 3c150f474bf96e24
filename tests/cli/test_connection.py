"""A webhook that comes whole is answered past uvicorn's own machinery, and nobody outside can tell."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from support.told import logged

from service.cli import joined_writes
from service.cli.connection import connection_type
from service.ingest.answers import early_error, json_answer

WHOLE = b"POST /hooks/hook HTTP/1.1\r\nHost: relay\r\nX-Sign: One\r\ncontent-length: 4\r\n\r\nbody"


@dataclass
class Site:
    """A server whose hook and whose application say who answered what; `gate` holds the hook's answers back."""

    taken: list[tuple[list[tuple[bytes, bytes]], bytes]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    times: int = 1
    ends: bool = False
    answering: list[asyncio.Task[None]] = field(default_factory=list)
    port: int = 0
    server: uvicorn.Server | None = None
    clients: list[Client] = field(default_factory=list)

    def hook(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, reply: Callable[[Response], None]) -> None:
        self.taken.append((list(headers), body))
        self.reached.set()
        self.answering.append(asyncio.create_task(self._answer(reply)))

    async def _answer(self, reply: Callable[[Response], None]) -> None:
        await self.gate.wait()
        for _ in range(self.times):
            reply(early_error(413, "too_large", "too large") if self.ends else json_answer(200, {"by": "hook"}))

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.ends:
            await early_error(413, "too_large", "too large")(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        await json_answer(200, {"by": "app", "body": body.decode()})(scope, receive, send)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], dict[str, object]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(first.split(" ")[1]), headers, json.loads(body)

    async def ends(self) -> bytes:
        """What still comes until the far side closes."""
        return await asyncio.wait_for(self.reader.read(), 10)


@asynccontextmanager
async def _serving(*, keep_alive: int = 60, graceful: int = 5) -> AsyncIterator[Site]:
    site = Site()
    site.gate.set()
    config = uvicorn.Config(
        site.app,
        interface="asgi3",
        http=connection_type(10, {b"/hooks/hook": site.hook}),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=graceful,
        limit_concurrency=100,
    )
    site.server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site.port = listener.getsockname()[1]
        # Without its own signal handling.
        serving = asyncio.create_task(site.server._serve([listener]))
        try:
            yield site
        finally:
            site.gate.set()
            site.server.should_exit = True
            for client in site.clients:
                client.writer.close()
                with suppress(ConnectionError):
                    await client.writer.wait_closed()
            await serving


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with _serving() as running:
        yield running


async def test_what_comes_whole_is_answered_at_once_and_the_connection_stays(site: Site) -> None:
    client = await site.connect()
    for _ in range(3):
        client.send(WHOLE)
        status, headers, told = await client.answer()
        assert (status, told) == (200, {"by": "hook"})
        assert headers["content-type"] == "application/json"
        assert "date" in headers
        assert "connection" not in headers
    assert site.taken[0] == ([(b"host", b"relay"), (b"x-sign", b"One"), (b"content-length", b"4")], b"body")


CHUNKED = b"POST /hooks/hook HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"


async def test_a_body_in_chunks_is_put_together(site: Site) -> None:
    client = await site.connect()
    client.send(CHUNKED)
    assert (await client.answer())[2] == {"by": "hook"}
    assert site.taken[0][1] == b"body"


@pytest.mark.parametrize(
    "request_",
    [
        WHOLE.replace(b"POST", b"PUT"),
        WHOLE.replace(b"/hooks/hook", b"/hooks/hook?a=b"),
        WHOLE.replace(b"/hooks/hook", b"/hooks/other"),
        WHOLE.replace(b"/hooks/hook", b"/hooks/h%6Fok"),
        WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        WHOLE.replace(b"X-Sign: One", b"Connection: upgrade\r\nUpgrade: h2c"),
    ],
)
async def test_whatever_is_the_least_unusual_goes_the_long_way(site: Site, request_: bytes) -> None:
    client = await site.connect()
    client.send(request_)
    assert (await client.answer())[2]["by"] == "app"
    assert site.taken == []


async def test_a_client_that_asks_first_is_told_to_go_on(site: Site) -> None:
    client = await site.connect()
    head, body = WHOLE.replace(b"X-Sign: One", b"Expect: 100-continue").split(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body)
    assert (await client.answer())[2] == {"by": "app", "body": "body"}


async def test_a_body_that_comes_later_goes_the_long_way(site: Site) -> None:
    client = await site.connect()
    for cut in (-4, -2):
        client.send(WHOLE[:cut])
        await client.writer.drain()
        await asyncio.sleep(0.05)  # so that the two are not read together; if they are, the hook answers
        client.send(WHOLE[cut:])
        assert (await client.answer())[2] in ({"by": "app", "body": "body"}, {"by": "hook"})


async def test_requests_that_come_together_are_answered_in_their_order(site: Site) -> None:
    client = await site.connect()
    client.send(WHOLE + WHOLE.replace(b"/hook ", b"/last ") + WHOLE)
    told = [(await client.answer())[2]["by"] for _ in range(3)]
    assert told == ["hook", "app", "app"]
    client.send(WHOLE)
    assert (await client.answer())[2] == {"by": "hook"}


async def test_a_client_that_asks_for_the_end_gets_it(site: Site) -> None:
    client = await site.connect()
    client.send(WHOLE.replace(b"X-Sign: One", b"Connection: close"))
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert await client.ends() == b""


async def test_an_answer_that_ends_the_connection_does(site: Site) -> None:
    site.ends = True
    client = await site.connect()
    client.send(WHOLE)
    status, headers, _ = await client.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert await client.ends() == b""


@pytest.mark.parametrize("framing", ["content-length: 8000000", "transfer-encoding: chunked"])
async def test_an_answer_before_the_body_has_come_is_not_overtaken_by_a_reset(site: Site, framing: str) -> None:
    site.ends = True
    body = b"x" * 8_000_000 if "length" in framing else b"7a1200\r\n" + b"x" * 8_000_000 + b"\r\n0\r\n\r\n"
    for _ in range(5):
        client = await site.connect()
        client.send(f"POST /hooks/hook HTTP/1.1\r\n{framing}\r\n\r\n".encode())
        for start in range(0, len(body), 65536):
            client.send(body[start : start + 65536])
            await client.writer.drain()
        assert (await client.answer())[0] == 413
        assert await client.ends() == b""


async def test_a_body_that_never_ends_is_not_taken_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joined_writes, "LINGERING", 0.2)
    site.ends = True
    client = await site.connect()
    client.send(b"POST /hooks/hook HTTP/1.1\r\ncontent-length: 8000000\r\n\r\n")
    assert (await client.answer())[0] == 413
    assert await client.ends() == b""

    async def send_on() -> None:
        while True:
            client.send(b"x")
            await client.writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_on(), 10)


async def test_what_was_answered_is_not_answered_again(site: Site) -> None:
    site.times = 2
    client = await site.connect()
    client.send(WHOLE.replace(b"X-Sign: One", b"Connection: close"))
    assert (await client.answer())[2] == {"by": "hook"}
    assert await client.ends() == b""


async def test_what_is_no_http_after_a_good_head_is_refused(site: Site) -> None:
    client = await site.connect()
    client.send(CHUNKED.replace(b"2\r\ndy", b"x\r\ndy"))
    assert (await client.ends()).startswith(b"HTTP/1.1 400 ")
    assert site.taken == []


async def test_nothing_is_written_to_a_client_that_has_gone(site: Site) -> None:
    site.gate.clear()
    client = await site.connect()
    client.send(WHOLE)
    await site.reached.wait()
    client.writer.transport.abort()
    assert site.server is not None
    while site.server.server_state.connections:
        await asyncio.sleep(0.01)
    with logged() as lines:
        site.gate.set()
        while site.server.server_state.tasks:
            await asyncio.sleep(0.01)
    assert lines == []


async def test_a_server_that_stops_answers_what_it_has_and_says_that_it_ends() -> None:
    async with _serving() as site:
        site.gate.clear()
        client = await site.connect()
        client.send(WHOLE)
        await site.reached.wait()
        assert site.server is not None
        site.server.should_exit = True
        with suppress(ConnectionError):
            while True:  # until it takes no more, which is when it has told its connections
                await site.connect()
                await asyncio.sleep(0.01)
        site.gate.set()
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.ends() == b""


async def test_a_server_that_has_waited_long_enough_hangs_up() -> None:
    async with _serving(graceful=1) as site:
        site.gate.clear()
        client = await site.connect()
        client.send(WHOLE)
        await site.reached.wait()
        assert site.server is not None
        site.server.should_exit = True
        assert await client.ends() == b""
        assert site.gate.is_set() is False


async def test_a_quiet_connection_is_closed_and_a_busy_one_is_not() -> None:
    async with _serving(keep_alive=1) as site:
        loop = asyncio.get_running_loop()
        client = await site.connect()
        begun = loop.time()
        client.send(WHOLE)
        await client.answer()
        await asyncio.sleep(0.6)
        site.gate.clear()
        client.send(WHOLE)  # under way when the first second ends
        await asyncio.sleep(0.6)
        site.gate.set()
        assert (await client.answer())[0] == 200
        client.send(b"\r\n")  # which is no request
        assert await client.ends() == b""
        assert loop.time() - begun > 2


async def test_a_client_that_reads_nothing_is_waited_for(site: Site) -> None:
    client = await site.connect()
    assert site.server is not None
    while not site.server.server_state.connections:
        await asyncio.sleep(0.01)
    (connection,) = site.server.server_state.connections
    connection.pause_writing()  # as the transport does when its buffer is full
    client.send(WHOLE)
    await site.reached.wait()
    await asyncio.wait(site.answering)
    (task,) = site.server.server_state.tasks
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done
    connection.resume_writing()
    assert (await client.answer())[2] == {"by": "hook"}
