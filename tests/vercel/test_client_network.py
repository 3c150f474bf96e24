"""The client on real connections, good and bad."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from support.loopback import serve

from service.domain.clock import system_clock
from service.domain.outcomes import OutcomeKind
from service.domain.purges import Action
from service.domain.secret import Secret
from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel
from service.vercel.client import VercelClient
from service.vercel.wire import WireRequest, purge_request

TOKEN = "vcp_fakefakefake0123456789"


def purge(api: str) -> WireRequest:
    return purge_request(
        api=api, project="my-shop", team=None, action=Action.DELETE, src_images=["/a.png"], deadline=60
    )


@asynccontextmanager
async def raw_server(*chunks: bytes, then_wait: bool = False) -> AsyncIterator[str]:
    """A TCP server that says these bytes to whatever it is asked, then closes or falls silent until the client goes."""

    conversations: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.current_task())
        await reader.readuntil(b"}")
        for chunk in chunks:
            writer.write(chunk)
        await writer.drain()
        if then_wait:
            await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, conversations))


@pytest.mark.parametrize(
    ("chunks", "kind", "status", "reason"),
    [
        ((), OutcomeKind.TRANSIENT, None, "remote protocol error"),
        ((b"\x16\x03\x01 not http",), OutcomeKind.TRANSIENT, None, "remote protocol error"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), OutcomeKind.TRANSIENT, None, "remote protocol error"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"cut"), OutcomeKind.DONE, 200, "200 OK"),
        (
            (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", b"cut"),
            OutcomeKind.BLOCKED,
            404,
            "404 Not Found: cut",
        ),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), OutcomeKind.DONE, 200, "200 OK"),
    ],
)
@pytest.mark.asyncio
async def test_a_broken_answer(chunks: tuple[bytes, ...], kind: OutcomeKind, status: int | None, reason: str) -> None:
    async with raw_server(*chunks) as url, VercelClient.open(read_seconds=5) as client:
        outcome = await client.send(purge(url), Secret(TOKEN), system_clock)
    assert (outcome.kind, outcome.status) == (kind, status)
    assert outcome.reason.startswith(reason)


@pytest.mark.parametrize(
    ("chunks", "kind", "status"),
    [
        ((), OutcomeKind.TRANSIENT, None),
        ((b"HTTP/1.1 200 OK\r\n",), OutcomeKind.TRANSIENT, None),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",), OutcomeKind.DONE, 200),
    ],
)
@pytest.mark.asyncio
async def test_silence_ends_in_a_time_out(chunks: tuple[bytes, ...], kind: OutcomeKind, status: int | None) -> None:
    async with raw_server(*chunks, then_wait=True) as url, VercelClient.open(read_seconds=0.05) as client:
        outcome = await client.send(purge(url), Secret(TOKEN), system_clock)
    assert (outcome.kind, outcome.status) == (kind, status)


@pytest.mark.asyncio
async def test_connections_are_kept_and_given_back() -> None:
    """A reset leaves nothing open behind it (pytest turns a ResourceWarning into a failure), and the pool goes on."""
    answers = [Answer(status="reset"), Answer(status=503), Answer(status=429)]
    with serve(create_fake_vercel(FakeVercel(answers=answers))) as url:
        async with VercelClient.open(read_seconds=5, connections=1) as client:
            statuses = [(await client.send(purge(url), Secret(TOKEN), system_clock)).status for _ in range(5)]
    gc.collect()
    assert statuses == [None, 503, 429, 200, 200]


@pytest.mark.asyncio
async def test_nobody_listens() -> None:
    async with raw_server() as url:
        pass
    async with VercelClient.open(read_seconds=5) as client:
        outcome = await client.send(purge(url), Secret(TOKEN), system_clock)
    assert (outcome.kind, outcome.status) == (OutcomeKind.TRANSIENT, None)
    assert outcome.reason.startswith("connect error: ")
