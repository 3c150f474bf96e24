"""The two requests that verification may take: fetching a published key, and confirming a subscription.

Both go only to URLs that a provider built or held against its host rule; neither follows a redirect.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Self
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

from service import __version__
from service.domain.errors import KeyUnavailable
from service.outgoing import Outgoing

KEY_BYTES = 64 * 1024
"""A certificate has two thousand bytes; a key set a few times that."""

_KEY_SECONDS = 5.0
_CONFIRM_SECONDS = 10.0
_CACHED_KEYS = 64
_FRESH = timedelta(hours=24)
_STALE = timedelta(days=7)  # how long a key still serves while its publisher cannot be reached
_PAUSE = timedelta(seconds=10)  # before a URL that failed is tried again
_NEW_KEYS = 10  # fetches of unknown URLs in a minute: forged requests name as many as they like
_MINUTE = timedelta(minutes=1)
# Vendors publish over https: plain http gets past a provider's host rule only for an emulator on this machine, and moto
# tells its services apart by what a request claims to be signed for: https://docs.getmoto.org/en/latest/docs/server_mode.html
_FOR_EMULATORS = {"authorization": "AWS4-HMAC-SHA256 Credential=emulator/20200101/us-east-1/sns/aws4_request"}


class _Entry(Struct):
    """What is known of one URL: the key and when it was fetched, the last failure and when that was."""

    key: bytes | None = None
    fetched_at: datetime | None = None
    failed_at: datetime | None = None
    failure: str = ""

    def within(self, age: timedelta, now: datetime) -> bytes | None:
        """The key, if it was fetched not longer ago than that."""
        return self.key if self.fetched_at is not None and now - self.fetched_at < age else None

    def resting(self, now: datetime) -> bool:
        return self.failed_at is not None and now - self.failed_at < _PAUSE


class Network:
    """Keys by URL, cached, with one fetch of a URL at a time."""

    def __init__(self, http: Outgoing) -> None:
        self._http = http
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Entry]] = {}
        self._new: deque[datetime] = deque(maxlen=_NEW_KEYS)

    @classmethod
    @asynccontextmanager
    async def open(cls, transport: httpx.AsyncBaseTransport | None = None) -> AsyncIterator[Self]:
        """A client with its pool; `transport` replaces the network."""
        async with Outgoing.open(
            transport=transport,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=0),
            headers={"user-agent": f"vercel-image-relay/{__version__}", "accept-encoding": "identity"},
        ) as http:
            network = cls(http)
            try:
                yield network
            finally:
                await network._land()

    async def key(self, url: str, now: datetime) -> bytes:
        """A published key: fresh for a day, and for a week while its publisher fails; raises KeyUnavailable."""
        entry = self._entries.get(url)
        if entry is not None:
            self._entries.move_to_end(url)
            if (fresh := entry.within(_FRESH, now)) is not None:
                return fresh
        if url in self._flights or self._may_fetch(entry, now):
            entry = await self._fetched(url, now)
        stale = None if entry is None else entry.within(_STALE, now)
        if stale is None:
            failure = "too many new keys were asked for" if entry is None else entry.failure
            raise KeyUnavailable(f"the key at {_place(url)} cannot be had: {failure}")
        return stale

    async def newer_key(self, url: str, now: datetime) -> bytes | None:
        """A published key fetched again, None where that was done within a minute; raises KeyUnavailable."""
        entry = self._entries.get(url)
        if entry is not None and entry.within(_MINUTE, now) is not None:
            return None
        if url in self._flights or self._may_fetch(entry, now):
            entry = await self._fetched(url, now)
        fresh = None if entry is None else entry.within(_MINUTE, now)
        if fresh is None:
            failure = "too many new keys were asked for" if entry is None else entry.failure
            raise KeyUnavailable(f"the key at {_place(url)} cannot be fetched again: {failure}")
        return fresh

    async def confirm(self, url: str) -> None:
        """Visit a URL; raises KeyUnavailable unless it answers 2xx within ten seconds."""
        try:
            async with asyncio.timeout(_CONFIRM_SECONDS):
                client = await self._http.client()
                async with client.stream("GET", url) as response:
                    if response.is_success:
                        return
                    problem = f"it answered {response.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            problem = _words(error)
        raise KeyUnavailable(f"the subscription could not be confirmed at {_place(url)}: {problem}")

    def _may_fetch(self, entry: _Entry | None, now: datetime) -> bool:
        if entry is not None and entry.resting(now):
            return False
        if entry is not None and entry.key is not None:
            return True
        if len(self._new) == _NEW_KEYS and now - self._new[0] < _MINUTE:
            return False
        self._new.append(now)
        return True

    async def _fetched(self, url: str, now: datetime) -> _Entry:
        """The entry after a fetch that everybody who wants this URL shares, and nobody's leaving ends."""
        flight = self._flights.get(url)
        if flight is None:
            flight = self._flights[url] = asyncio.create_task(self._fetch(url, now))
        return await asyncio.shield(flight)

    async def _fetch(self, url: str, now: datetime) -> _Entry:
        entry = self._entries.setdefault(url, _Entry())
        try:
            async with asyncio.timeout(_KEY_SECONDS):
                entry.key, entry.fetched_at, entry.failed_at = await self._read(url), now, None
        except (KeyUnavailable, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            entry.failure, entry.failed_at = _words(error), now
        finally:
            del self._flights[url]
            self._make_room()
        return entry

    def _make_room(self) -> None:
        """Drops the URL unused for longest; before any key, one that never gave a key: forgers name such."""
        while len(self._entries) > _CACHED_KEYS:
            useless = (url for url, entry in self._entries.items() if entry.key is None)
            del self._entries[next(useless, next(iter(self._entries)))]

    async def _read(self, url: str) -> bytes:
        body = b""
        headers = _FOR_EMULATORS if url.startswith("http://") else {}
        client = await self._http.client()
        async with client.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                raise KeyUnavailable(f"it answered {response.status_code}")
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > KEY_BYTES:
                    raise KeyUnavailable(f"it has more than {KEY_BYTES} bytes")
        return body

    async def _land(self) -> None:
        """End the fetches that nobody waits for any more."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


def _place(url: str) -> str:
    """The host alone: a confirmation's query holds a token."""
    return urlsplit(url).netloc


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
