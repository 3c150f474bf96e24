"""The GETs themselves: bounded, never redirected, silent about their secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from service.domain.lookups import Fetched
from service.domain.secret import Secret
from service.resolve.client import ANSWER_BYTES, LookupClient

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = "https://api.example/assets/1?access_token=fake-secret"
HEADERS = {"authorization": Secret("fake-token"), "accept": Secret("application/json")}


def streamed(status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> httpx.Response:
    """An answer whose body is still to be read, as it is on a network."""

    async def body() -> AsyncIterator[bytes]:
        yield content

    return httpx.Response(status, content=body(), headers=headers)


async def get(answer: Callable[[httpx.Request], httpx.Response], seconds: float = 5) -> Fetched:
    async with LookupClient.open(lambda: NOW, seconds=seconds, transport=httpx.MockTransport(answer)) as client:
        return await client.get(URL, HEADERS)


async def test_an_answer() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return streamed(200, b"{}")

    assert await get(answer) == Fetched(status=200, reason="200 OK", body=b"{}")
    (request,) = seen
    assert (request.method, str(request.url), request.content) == ("GET", URL, b"")
    assert request.headers["authorization"] == "fake-token"
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"


async def test_no_cookie_goes_along_with_another_accounts_request() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "cookie" not in request.headers
        return streamed(200, headers={"set-cookie": "a=b; Path=/"})

    async with LookupClient.open(lambda: NOW, transport=httpx.MockTransport(answer)) as client:
        for _ in range(2):
            assert (await client.get(URL, HEADERS)).status == 200


@pytest.mark.parametrize(
    ("status", "headers", "reason", "seconds"),
    [
        (503, {"retry-after": "60"}, "503 Service Unavailable", 60),
        (429, {"retry-after": "Tue, 24 Nov 2026 12:01:00 GMT"}, "429 Too Many Requests", 60),
        (404, {}, "404 Not Found", None),
        (302, {"location": "https://elsewhere.example/"}, "302 Found", None),
        (799, {"retry-after": "soon"}, "799 (no such status)", None),
    ],
)
async def test_other_answers(status: int, headers: dict[str, str], reason: str, seconds: float | None) -> None:
    fetched = await get(lambda _: streamed(status, headers=headers))
    assert (fetched.status, fetched.reason) == (status, reason)
    assert fetched.retry_at == (None if seconds is None else NOW + timedelta(seconds=seconds))


async def test_too_large_an_answer_is_not_read() -> None:
    served = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal served
        while True:
            served += 65536
            yield b" " * 65536

    fetched = await get(lambda _: httpx.Response(200, content=body()))
    assert (fetched.status, fetched.too_large, fetched.body) == (200, True, b"")
    assert served <= ANSWER_BYTES + 2 * 65536


async def test_too_slow_an_answer_is_not_waited_for() -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.02)
            yield b" "

    fetched = await get(lambda _: httpx.Response(200, content=body()), seconds=0.2)
    assert (fetched.status, fetched.reason) == (None, "no answer: timeout error")


@pytest.mark.parametrize("error", [httpx.ConnectError(URL), httpx.ReadTimeout(URL), OSError(URL)])
async def test_no_answer_is_told_without_the_address(error: Exception) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    fetched = await get(answer)
    assert fetched.status is None
    assert fetched.reason.startswith("no answer: ")
    assert "fake-secret" not in fetched.reason
