"""A client is made when there is something to send, once, and away from the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest

from service import outgoing
from service.outgoing import Outgoing, get_ready


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    outgoing._trusted.cache_clear()
    yield
    outgoing._trusted.cache_clear()


async def test_nothing_is_made_before_it_is_asked_for() -> None:
    async with Outgoing.open(timeout=1):
        pass
    assert outgoing._trusted.cache_info().currsize == 0


async def test_requests_at_once_share_one_client_and_all_clients_what_they_trust() -> None:
    async with Outgoing.open(timeout=1) as one, Outgoing.open(timeout=2) as other:
        first, second = await asyncio.gather(one.client(), one.client())
        assert first is second is await one.client()
        assert (await other.client()) is not first
        assert outgoing._trusted.cache_info().currsize == 1
        assert first.timeout == httpx.Timeout(1)
    assert first.is_closed


async def test_the_certificates_are_read_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    made = httpx.create_ssl_context

    def create() -> object:
        threads.append(threading.current_thread())
        return made()

    monkeypatch.setattr(httpx, "create_ssl_context", create)
    assert await get_ready() is await get_ready()
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


async def test_what_replaces_the_network_needs_no_certificates() -> None:
    async with Outgoing.open(transport=httpx.MockTransport(lambda _: httpx.Response(204))) as out:
        assert (await (await out.client()).get("https://vercel.example")).status_code == 204
    assert outgoing._trusted.cache_info().currsize == 0
