"""Clients for requests of our own, made when there is one to send.

To import what carries them, and to read the certificates that are trusted, takes as long as a fifth of the start.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Self

import httpx


class Outgoing:
    """An `httpx.AsyncClient` to be; every one of them trusts the same certificates."""

    def __init__(self, **options: Any) -> None:
        """As the client takes them."""
        self._options = options
        self._client: httpx.AsyncClient | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, **options: Any) -> AsyncIterator[Self]:
        """Closes what was made of it."""
        outgoing = cls(**options)
        try:
            yield outgoing
        finally:
            if outgoing._client is not None:
                await outgoing._client.aclose()

    async def client(self) -> httpx.AsyncClient:
        """The client, the same each time."""
        if self._client is None:
            # What replaces the network trusts whom it likes.
            trusted = True if self._options.get("transport") is not None else await get_ready()
            if self._client is None:  # another request may have been faster
                self._client = httpx.AsyncClient(verify=trusted, **self._options)
        return self._client


async def get_ready() -> ssl.SSLContext:
    """What the first request would have to wait for, done in a thread: webhooks are taken in meanwhile."""
    return await asyncio.to_thread(_trusted)


@cache
def _trusted() -> ssl.SSLContext:
    import httpcore  # noqa: F401 - which httpx imports with its first client

    return httpx.create_ssl_context()
