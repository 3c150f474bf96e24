"""Every store test runs on every database there is; today that is SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.store import open_store
from service.store.engine import Engine


@pytest.fixture(params=["sqlite"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    """An empty store."""
    urls = {"sqlite": f"sqlite:///{tmp_path / 'relay.db'}"}
    opened = await open_store(urls[request.param])
    yield opened
    await opened.close()
