"""The GETs to CMS APIs: bounded in time and size, never redirected, and silent about their secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

from service import __version__
from service.domain.clock import Clock
from service.domain.lookups import Fetched
from service.domain.secret import Secret
from service.outgoing import Outgoing
from service.vercel.wire import retry_after

ANSWER_BYTES = 1024 * 1024
SECONDS = 5.0
_CONNECTIONS = 8


class LookupClient:
    """Asks; whatever happens on the way is a `Fetched`, not an exception."""

    def __init__(self, http: Outgoing, clock: Clock, seconds: float) -> None:
        self._http = http
        self._clock = clock
        self._seconds = seconds

    @classmethod
    @asynccontextmanager
    async def open(
        cls, clock: Clock, *, seconds: float = SECONDS, transport: httpx.AsyncBaseTransport | None = None
    ) -> AsyncIterator[Self]:
        """A client with its pool; `transport` replaces the network."""
        async with Outgoing.open(
            transport=transport,
            follow_redirects=False,
            timeout=seconds,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),  # one pool serves many accounts
            headers={"user-agent": f"vercel-image-relay/{__version__}", "accept-encoding": "identity"},
        ) as http:
            yield cls(http, clock, seconds)

    async def get(self, url: str, headers: Mapping[str, Secret]) -> Fetched:
        """One GET of at most five seconds and one mebibyte."""
        sent = {name: value.reveal() for name, value in headers.items()}
        try:
            async with asyncio.timeout(self._seconds):
                client = await self._http.client()
                async with client.stream("GET", url, headers=sent) as response:
                    return await self._read(response)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # The kind alone: an error's own text may hold the address, and that a secret.
            name = "".join(f" {char.lower()}" if char.isupper() else char for char in type(error).__name__).strip()
            return Fetched(status=None, reason=f"no answer: {name}")

    async def _read(self, response: httpx.Response) -> Fetched:
        status = response.status_code
        body = b""
        async for piece in response.aiter_raw():  # raw, so that what is compressed against our wish costs no memory
            body += piece
            if len(body) > ANSWER_BYTES:
                return Fetched(status=status, reason=_label(status), too_large=True)
        asked = retry_after(response.headers.get("retry-after", ""), self._clock())
        return Fetched(status=status, reason=_label(status), body=body, retry_at=asked)


def _label(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} (no such status)"
