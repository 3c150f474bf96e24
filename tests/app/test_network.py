"""Published keys: cached, shared, bounded; confirmations; never a redirect followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support.loopback import serve

from service import __version__, network
from service.domain.errors import KeyUnavailable
from service.network import KEY_BYTES, Network

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
URL = "https://keys.example/1.pem"
DAY = 24 * 3600


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Publisher:
    """Answers with `status` and `body`, or raises `error`; says what it was asked."""

    def __init__(self, body: bytes = b"a key", status: int = 200) -> None:
        self.body = body
        self.status = status
        self.error: Exception | None = None
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        headers = {"location": "https://elsewhere.example/"}
        return httpx.Response(self.status, headers=headers, stream=httpx.ByteStream(self.body))


@asynccontextmanager
async def opened(publisher: Publisher) -> AsyncIterator[Network]:
    async with Network.open(httpx.MockTransport(publisher)) as one:
        yield one


async def refused(one: Network, url: str, now: datetime) -> str:
    with pytest.raises(KeyUnavailable) as caught:
        await one.key(url, now)
    return str(caught.value)


async def test_a_key_is_fetched_once_a_day() -> None:
    publisher = Publisher()
    async with opened(publisher) as one:
        for moment in (0, 1, DAY - 1):
            assert await one.key(URL, at(moment)) == b"a key"
        assert publisher.asked == [URL]
        publisher.body = b"the next"
        assert await one.key(URL, at(DAY)) == b"the next"
        assert await one.key(URL, at(DAY + 1)) == b"the next"
    assert publisher.asked == [URL, URL]


async def test_an_old_key_serves_while_its_publisher_fails() -> None:
    publisher = Publisher()
    async with opened(publisher) as one:
        await one.key(URL, NOW)
        publisher.status = 503
        assert await one.key(URL, at(2 * DAY)) == b"a key"
        assert await one.key(URL, at(2 * DAY + 9)) == b"a key"
        assert len(publisher.asked) == 2, "it is not asked again at once"
        assert await one.key(URL, at(7 * DAY - 1)) == b"a key"
        assert await refused(one, URL, at(7 * DAY + 10)) == "the key at keys.example cannot be had: it answered 503"
        publisher.status = 200
        assert await one.key(URL, at(7 * DAY + 30)) == b"a key"


FAILURES: list[tuple[Callable[[Publisher], object], str]] = [
    (lambda one: setattr(one, "status", 404), "it answered 404"),
    (lambda one: setattr(one, "status", 302), "it answered 302"),
    (lambda one: setattr(one, "status", 204), "it answered 204"),
    (lambda one: setattr(one, "body", b"x" * (KEY_BYTES + 1)), f"it has more than {KEY_BYTES} bytes"),
    (lambda one: setattr(one, "error", httpx.ConnectError("nobody listens")), "nobody listens"),
    (lambda one: setattr(one, "error", httpx.ReadTimeout("")), "ReadTimeout"),
    (lambda one: setattr(one, "error", TimeoutError()), "TimeoutError"),
    (lambda one: setattr(one, "error", httpx.InvalidURL("odd")), "odd"),
]


@pytest.mark.parametrize(("break_it", "failure"), FAILURES)
async def test_a_key_that_cannot_be_had(break_it: Callable[[Publisher], object], failure: str) -> None:
    publisher = Publisher()
    break_it(publisher)
    async with opened(publisher) as one:
        assert await refused(one, URL, NOW) == f"the key at keys.example cannot be had: {failure}"
        assert await refused(one, URL, at(9)) == f"the key at keys.example cannot be had: {failure}"
        assert publisher.asked == [URL], "neither a redirect followed nor the same URL tried again at once"
        publisher.error, publisher.status, publisher.body = None, 200, b"x" * KEY_BYTES
        assert len(await one.key(URL, at(10))) == KEY_BYTES


async def test_a_publisher_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_KEY_SECONDS", 0.01)
    publisher = Publisher()
    publisher.gate = asyncio.Event()
    async with opened(publisher) as one:
        assert "TimeoutError" in await refused(one, URL, NOW)


async def test_many_at_once_share_one_fetch() -> None:
    publisher = Publisher()
    publisher.gate = asyncio.Event()
    async with opened(publisher) as one:
        waiting = [asyncio.create_task(one.key(URL, NOW)) for _ in range(20)]
        while not publisher.asked:
            await asyncio.sleep(0)
        waiting[0].cancel()  # the one that began it goes away, the others still get their key
        publisher.gate.set()
        gone, *keys = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert keys == [b"a key"] * 19
    assert publisher.asked == [URL]


async def test_a_fetch_nobody_waits_for_ends_with_the_network() -> None:
    publisher = Publisher()
    publisher.gate = asyncio.Event()
    async with opened(publisher) as one:
        waiting = asyncio.create_task(one.key(URL, NOW))
        while not publisher.asked:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_forged_requests_cannot_make_it_ask_around() -> None:
    publisher = Publisher(status=404)
    async with opened(publisher) as one:
        publisher.status = 200
        await one.key(URL, NOW)
        publisher.status = 404
        urls = [f"https://keys.example/forged-{number}" for number in range(100)]
        told = [await refused(one, url, at(1)) for url in urls]
        assert len(publisher.asked) == 10
        assert told[-1] == "the key at keys.example cannot be had: too many new keys were asked for"
        publisher.status = 200
        assert await one.key(URL, at(DAY)) == b"a key", "what was known before is refreshed all the same"
        publisher.asked.clear()
        for moment in range(61, 600):
            await refused_or_fetched(one, urls[moment % 100], at(DAY + moment))
        assert len(publisher.asked) <= 10 * 9


async def refused_or_fetched(one: Network, url: str, now: datetime) -> None:
    try:
        await one.key(url, now)
    except KeyUnavailable:
        return


async def test_failed_urls_are_retried_within_the_same_bound() -> None:
    publisher = Publisher(status=404)
    async with opened(publisher) as one:
        urls = [f"https://keys.example/{number}" for number in range(10)]
        for url in urls:
            await refused(one, url, NOW)
        for url in urls:
            assert "it answered 404" in await refused(one, url, at(30))
        assert len(publisher.asked) == 10
        await refused(one, urls[0], at(60))
        assert len(publisher.asked) == 11


async def test_the_cache_is_bounded_and_keeps_what_is_in_use() -> None:
    publisher = Publisher()
    async with opened(publisher) as one:
        await one.key(URL, NOW)
        for number in range(200):
            publisher.status = 404 if number % 2 else 200
            await refused_or_fetched(one, f"https://keys.example/other-{number}", at(number * 60))
            assert await one.key(URL, at(number * 60)) == b"a key"
        assert publisher.asked.count(URL) == 1
        assert len(one._entries) == 64
        assert not [url for url, entry in one._entries.items() if entry.key is None]


async def test_what_goes_out() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"key"))

    async with Network.open(httpx.MockTransport(handler)) as one:
        await one.key(URL, NOW)
        await one.confirm("https://confirm.example/?Token=1")
    for request in seen:
        assert request.method == "GET"
        assert request.headers["user-agent"] == f"vercel-image-relay/{__version__}"
        assert request.headers["accept-encoding"] == "identity", "64 KiB are 64 KiB"


@pytest.mark.parametrize(
    ("status", "error", "problem"),
    [
        (200, None, None),
        (299, None, None),
        (302, None, "it answered 302"),
        (404, None, "it answered 404"),
        (200, httpx.ConnectError("nobody listens"), "nobody listens"),
        (200, TimeoutError(), "TimeoutError"),
    ],
)
async def test_confirming(status: int, error: Exception | None, problem: str | None) -> None:
    publisher = Publisher(status=status)
    publisher.error = error
    async with opened(publisher) as one:
        url = "https://confirm.example/?Action=ConfirmSubscription&Token=fake-token"
        if problem is None:
            await one.confirm(url)
        else:
            with pytest.raises(KeyUnavailable) as caught:
                await one.confirm(url)
            assert str(caught.value) == f"the subscription could not be confirmed at confirm.example: {problem}"
    assert publisher.asked == [url]


async def test_a_real_connection() -> None:
    async def app(scope: object, receive: object, send: Callable[[object], object]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})  # type: ignore[misc]  # an ASGI application in three lines
        await send({"type": "http.response.body", "body": b"a key"})  # type: ignore[misc]  # as above

    with serve(app) as url:  # type: ignore[arg-type]  # as above
        async with Network.open() as one:
            assert await one.key(f"{url}/1.pem", NOW) == b"a key"
            await one.confirm(url)
    async with Network.open() as one:
        with pytest.raises(KeyUnavailable):
            await one.confirm(url)


async def test_keys_are_fetched_again_at_most_once_a_minute() -> None:
    publisher = Publisher()
    async with opened(publisher) as one:
        await one.key(URL, NOW)
        publisher.body = b"the next"
        assert await one.newer_key(URL, at(59)) is None
        assert publisher.asked == [URL]
        assert await one.newer_key(URL, at(60)) == b"the next"
        assert await one.newer_key(URL, at(61)) is None
        assert await one.key(URL, at(62)) == b"the next"
        assert publisher.asked == [URL, URL]


async def test_a_publisher_that_fails_to_give_newer_keys_keeps_its_old_ones() -> None:
    publisher = Publisher()
    async with opened(publisher) as one:
        await one.key(URL, NOW)
        publisher.status = 503
        for moment in (60, 69):
            with pytest.raises(KeyUnavailable, match=r"keys\.example cannot be fetched again: it answered 503"):
                await one.newer_key(URL, at(moment))
        assert publisher.asked == [URL, URL], "it is not asked again at once"
        assert await one.key(URL, at(70)) == b"a key"


async def test_newer_keys_of_an_unknown_url_count_as_new() -> None:
    publisher = Publisher()
    async with opened(publisher) as one:
        for number in range(10):
            await one.newer_key(f"{URL}{number}", NOW)
        with pytest.raises(KeyUnavailable, match="too many new keys were asked for"):
            await one.newer_key(URL, NOW)
