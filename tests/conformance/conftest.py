"""Every store test runs on every database there is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.store import open_store
from service.store.engine import Engine


@pytest.fixture
async def engine(store_url: str) -> AsyncIterator[Engine]:
    """An empty store."""
    opened = await open_store(store_url)
    yield opened
    await opened.close()
