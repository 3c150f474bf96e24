"""What is written in one turn of the loop leaves in one piece, and nothing is lost or sent late."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from service.cli.joined_writes import JoinedWrites


class Transport:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
async def joined(transport: Transport) -> JoinedWrites:
    return JoinedWrites(cast(asyncio.Transport, transport))


async def test_head_and_body_leave_together(joined: JoinedWrites, transport: Transport) -> None:
    joined.write(b"head ")
    joined.write(b"body")
    assert transport.sent == []
    await asyncio.sleep(0)
    assert transport.sent == [b"head body"]
    joined.write(b"next")
    await asyncio.sleep(0)
    assert transport.sent == [b"head body", b"next"]


async def test_closing_sends_first(joined: JoinedWrites, transport: Transport) -> None:
    joined.write(b"last")
    joined.close()
    assert (transport.sent, transport.closed) == ([b"last"], True)
    await asyncio.sleep(0)
    assert transport.sent == [b"last"]


async def test_nothing_is_written_to_a_connection_that_is_gone(joined: JoinedWrites, transport: Transport) -> None:
    joined.write(b"late")
    transport.close()
    await asyncio.sleep(0)
    assert transport.sent == []


async def test_everything_else_is_the_transports_own(joined: JoinedWrites) -> None:
    assert not joined.is_closing()
