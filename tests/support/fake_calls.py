"""Talking to a fake Vercel in tests: a usual one, and calls it accepts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

TOKEN = "vcp_fakefakefake0123456789"
DELETE = "/v1/edge-cache/dangerously-delete-by-src-images"
INVALIDATE = "/v1/edge-cache/invalidate-by-src-images"
QUERY = "?projectIdOrName=my-shop"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
EPOCH_NOW = int(NOW.timestamp())
JSON = {"content-type": "application/json"}


def make(**settings: Any) -> FakeVercel:
    usual: dict[str, Any] = {"tokens": [TOKEN, "other"], "projects": ["my-shop", "a/b"], "now": lambda: NOW}
    return FakeVercel(**usual | settings)


@asynccontextmanager
async def talk(fake: FakeVercel) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    transport = httpx.ASGITransport(create_fake_vercel(fake))
    async with httpx.AsyncClient(transport=transport, base_url="http://fake", headers=headers) as http:
        yield http


async def purge(http: httpx.AsyncClient, *images: str, path: str = DELETE + QUERY) -> httpx.Response:
    return await http.post(path, json={"srcImages": images or ["/a.png"]})


def images(count: int) -> dict[str, Any]:
    return {"srcImages": [f"/{index}.png" for index in range(count)]}
