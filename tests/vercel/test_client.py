from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support.loopback import serve

from service import __version__
from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Action
from service.domain.secret import Secret
from service.outgoing import Outgoing
from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel
from service.vercel.client import MAX_ANSWER_BYTES, VercelClient
from service.vercel.wire import WireRequest, project_request, purge_request

TOKEN = "vcp_fakefakefake0123456789"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
API = "http://vercel.example"
Handler = Callable[[httpx.Request], httpx.Response]


def fixed() -> datetime:
    return NOW


def purge(api: str = API) -> WireRequest:
    return purge_request(
        api=api, project="my-shop", team="team_fake", action=Action.DELETE, src_images=["/a.png"], deadline=60
    )


def reply(status: int, body: bytes = b"", **headers: str) -> httpx.Response:
    """A response that is still to be read, as one from the network is."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=named, stream=httpx.ByteStream(body))


async def answer_of(handler: Handler, *, token: str = TOKEN, request: WireRequest | None = None) -> Outcome:
    async with VercelClient.open(read_seconds=5, transport=httpx.MockTransport(handler)) as client:
        return await client.send(request or purge(), Secret(token), fixed)


@pytest.mark.asyncio
async def test_a_purge_as_it_goes_out() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return reply(200, x_vercel_id="fra1::1", set_cookie="team=other; Path=/")

    async with VercelClient.open(read_seconds=5, transport=httpx.MockTransport(handler)) as client:
        outcomes = [await client.send(purge(), Secret(TOKEN), fixed) for _ in range(2)]
    assert outcomes == [Outcome(kind=OutcomeKind.DONE, status=200, reason="200 OK", request_id="fra1::1")] * 2
    for request in seen:
        assert (request.method, str(request.url), request.content) == ("POST", purge().url, purge().body)
        assert dict(request.headers) == {
            "host": "vercel.example",
            "accept": "application/json",
            "accept-encoding": "identity",
            "connection": "keep-alive",
            "user-agent": f"vercel-image-relay/{__version__}",
            "authorization": f"Bearer {TOKEN}",
            "content-type": "application/json",
            "content-length": str(len(purge().body)),
        }


@pytest.mark.asyncio
async def test_a_look_at_the_project_has_no_body() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert "content-type" not in request.headers
        return reply(200 if (request.method, request.content) == ("GET", b"") else 400)

    outcome = await answer_of(handler, request=project_request(API, "my-shop", None))
    assert outcome.kind is OutcomeKind.DONE


@pytest.mark.asyncio
async def test_time_is_told_after_the_answer() -> None:
    hands = [NOW]

    def handler(_: httpx.Request) -> httpx.Response:
        hands[0] += timedelta(seconds=10)
        return reply(429, Retry_After="5")

    async with VercelClient.open(read_seconds=5, transport=httpx.MockTransport(handler)) as client:
        outcome = await client.send(purge(), Secret(TOKEN), lambda: hands[0])
    assert outcome.retry_at == outcome.quota_until == NOW + timedelta(seconds=15)


@pytest.mark.asyncio
async def test_redirects_are_not_followed() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return reply(307, location="http://elsewhere.example/")

    outcome = await answer_of(handler)
    assert (outcome.kind, seen) == (OutcomeKind.BLOCKED, [purge().url])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("name unknown"), "connect error: name unknown"),
        (httpx.ConnectTimeout(""), "connect timeout"),
        (httpx.ReadTimeout(""), "read timeout"),
        (httpx.WriteError("broken"), "write error: broken"),
        (httpx.PoolTimeout(""), "pool timeout"),
        (httpx.ProxyError("407 from the proxy"), "proxy error: 407 from the proxy"),
        (httpx.UnsupportedProtocol("no scheme"), "unsupported protocol: no scheme"),
        (httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'"), "local protocol error: Illegal header"),
        (httpx.DecodingError("bad gzip"), "decoding error: bad gzip"),
        (ConnectionResetError("reset by peer"), "connection reset error: reset by peer"),
        (TimeoutError(), "timeout: the call took too long in all"),
    ],
)
@pytest.mark.asyncio
async def test_network_trouble_is_transient(error: Exception, reason: str) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    outcome = await answer_of(handler)
    assert (outcome.kind, outcome.status) == (OutcomeKind.TRANSIENT, None)
    assert outcome.reason.startswith(reason)
    assert TOKEN not in outcome.reason


@pytest.mark.asyncio
async def test_an_address_that_is_none_is_transient_too() -> None:
    outcome = await answer_of(lambda _: reply(200), request=WireRequest("POST", "http://vercel.example:port/", b"{}"))
    assert (outcome.kind, outcome.status) == (OutcomeKind.TRANSIENT, None)


@pytest.mark.parametrize("token", ["", "fake token", "fake\r\nx-evil: 1", "fäke-token", "fake\x00", "\ud800"])
@pytest.mark.asyncio
async def test_a_token_that_fits_no_header_is_not_sent(token: str) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        raise AssertionError("nothing should have been sent")

    outcome = await answer_of(handler, token=token)
    assert (outcome.kind, outcome.status) == (OutcomeKind.CREDENTIAL, None)
    assert not token or token not in outcome.reason


@pytest.mark.asyncio
async def test_the_token_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"error": {"code": "x", "message": f"token {TOKEN} " * 30}}).encode()
    with serve(
        create_fake_vercel(FakeVercel(tokens=[TOKEN], answers=[Answer(status=403), Answer(status="reset")]))
    ) as url:
        async with VercelClient.open(read_seconds=5) as client:
            live = [await client.send(purge(url), Secret(TOKEN), fixed) for _ in range(3)]
            shown = repr(client) + str(vars(client))
    echoed = await answer_of(lambda _: reply(400, echo, x_vercel_id=TOKEN))
    assert [outcome.status for outcome in live] == [403, None, 200]
    assert echoed.reason.startswith("400 Bad Request: token *** token ***")
    assert echoed.request_id == "***"
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    for text in (caplog.text, shown, repr(live), repr(echoed)):
        assert TOKEN not in text
        assert TOKEN[:12] not in text


@pytest.mark.asyncio
async def test_an_endless_answer_is_read_up_to_a_limit() -> None:
    sent = 0

    async def forever() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b"x" * 10_000

    outcome = await answer_of(lambda _: httpx.Response(500, content=forever()))
    assert (outcome.kind, outcome.status) == (OutcomeKind.TRANSIENT, 500)
    assert MAX_ANSWER_BYTES <= sent < MAX_ANSWER_BYTES + 10_000


@pytest.mark.asyncio
async def test_a_compressed_answer_is_not_unpacked() -> None:
    outcome = await answer_of(lambda _: reply(400, b"not gzip", content_encoding="gzip"))
    assert outcome.reason == "400 Bad Request: not gzip"


@pytest.mark.asyncio
async def test_the_whole_call_has_a_limit_too() -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b""

    async def handler(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async with Outgoing.open(transport=httpx.MockTransport(handler)) as http:
        silent = await VercelClient(http=http, total_seconds=0.05).send(purge(), Secret(TOKEN), fixed)
    transport = httpx.MockTransport(lambda _: httpx.Response(503, content=drip()))
    async with Outgoing.open(transport=transport) as http:
        dripping = await VercelClient(http=http, total_seconds=0.05).send(purge(), Secret(TOKEN), fixed)
    assert (silent.status, silent.reason) == (None, "timeout: the call took too long in all")
    assert (dripping.kind, dripping.status) == (OutcomeKind.TRANSIENT, 503)


@pytest.mark.asyncio
async def test_a_cancelled_call_is_cancelled() -> None:
    asked = asyncio.Event()

    async def handler(_: httpx.Request) -> httpx.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async with VercelClient.open(read_seconds=5, transport=httpx.MockTransport(handler)) as client:
        task = asyncio.create_task(client.send(purge(), Secret(TOKEN), fixed))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
