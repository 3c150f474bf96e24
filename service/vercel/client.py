"""The HTTP client towards Vercel: bounded in time and memory, and silent about its token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx

from service import __version__
from service.domain.clock import Clock
from service.domain.outcomes import Outcome
from service.domain.secret import Secret
from service.outgoing import Outgoing
from service.vercel.wire import WireRequest, network_failure, read_reply, token_problem, unusable_credential

MAX_ANSWER_BYTES = 64 * 1024
"""How much of an answer's body is read; Vercel's errors are a few hundred bytes."""

CONNECT_SECONDS = 5.0
WRITE_SECONDS = 5.0
POOL_SECONDS = 5.0
KEEP_ALIVE_SECONDS = 30.0
_MIN_SCRUBBED = 8


class VercelClient:
    """Sends wire requests and reads the answers; every trouble on the way is an `Outcome`, not an exception."""

    def __init__(self, *, http: Outgoing, total_seconds: float) -> None:
        self._http = http
        self._total_seconds = total_seconds

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        read_seconds: float,
        connections: int = 16,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> AsyncIterator[Self]:
        """A client with its connection pool; `read_seconds` is how long Vercel may be silent.

        `connections` should be at least the number of calls at a time. `transport` replaces the network.
        """
        limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEP_ALIVE_SECONDS
        )
        async with Outgoing.open(
            transport=transport,
            http1=True,
            http2=False,
            limits=limits,
            timeout=httpx.Timeout(connect=CONNECT_SECONDS, read=read_seconds, write=WRITE_SECONDS, pool=POOL_SECONDS),
            follow_redirects=False,
            # One pool serves many teams: a cookie set for one must not go out with another's token.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            headers={"user-agent": f"vercel-image-relay/{__version__}", "accept": "application/json"},
        ) as http:
            yield cls(http=http, total_seconds=POOL_SECONDS + CONNECT_SECONDS + WRITE_SECONDS + read_seconds)

    async def send(self, request: WireRequest, token: Secret, now: Clock) -> Outcome:
        """One call. A status that arrived counts, even if the rest of its answer did not.

        `now` is asked once the answer is there: what Vercel says in seconds counts from then.
        """
        problem = token_problem(token.reveal())
        if problem is not None:
            return unusable_credential(problem)
        answer = _Answer()
        try:
            async with asyncio.timeout(self._total_seconds):
                await self._exchange(request, token, answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            if not answer.status:
                return network_failure(*_words(exc, token))
        return answer.outcome(token, now())

    async def _exchange(self, request: WireRequest, token: Secret, answer: _Answer) -> None:
        headers = {"authorization": f"Bearer {token.reveal()}", "accept-encoding": "identity"}
        if request.body:
            headers["content-type"] = "application/json"
        client = await self._http.client()
        async with client.stream(request.method, request.url, headers=headers, content=request.body) as response:
            answer.status = response.status_code
            answer.headers = {name.lower(): value for name, value in response.headers.items()}
            # Raw, so that an answer compressed against our wish costs no memory.
            async for chunk in response.aiter_raw():
                answer.body += chunk[: MAX_ANSWER_BYTES - len(answer.body)]
                if len(answer.body) >= MAX_ANSWER_BYTES:
                    return


class _Answer:
    """What has arrived of an answer so far; `status` is 0 before its first line."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    def outcome(self, token: Secret, now: datetime) -> Outcome:
        """The reading of it, with the token blotted out wherever the far side echoed it."""
        headers = {name: _scrub(value, token) for name, value in self.headers.items()}
        body = _scrub(self.body.decode("latin-1"), token).encode("latin-1")
        return read_reply(self.status, headers, body, now)


def _words(exc: Exception, token: Secret) -> tuple[str, str]:
    """The error's kind (`connect timeout`) and its own text."""
    if type(exc) is TimeoutError:
        return "timeout", "the call took too long in all"
    name = "".join(f" {char.lower()}" if char.isupper() else char for char in type(exc).__name__).strip()
    return name, _scrub(str(exc), token)


def _scrub(text: str, token: Secret) -> str:
    # A shorter value is no token of Vercel's, and blotting it out would only garble the text.
    return text.replace(token.reveal(), "***") if len(token.reveal()) >= _MIN_SCRUBBED else text
