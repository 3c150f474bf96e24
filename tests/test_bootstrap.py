"""What goes on beside the web server for as long as the relay runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from support.told import logged

from service import bootstrap
from service.domain.errors import StoreUnavailable
from service.settings.model import Settings


class Retention:
    """Fails as it is told, then has two steps to do and nothing more."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.left = 2
        self.done = asyncio.Event()

    async def step(self, *_: Any) -> int:
        if self.failures:
            raise self.failures.pop(0)
        self.left -= 1
        if self.left < 0:
            self.done.set()
        return max(self.left, 0)


@pytest.mark.parametrize("failure", [StoreUnavailable("the disk is full"), RuntimeError("a bug")])
async def test_pruning_goes_on_after_a_failure(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_PRUNE_EVERY", 0)
    monkeypatch.setattr(bootstrap, "_PRUNE_PAUSE", 0)
    retention: Any = Retention(failure)
    task = asyncio.create_task(bootstrap._prune(retention, Settings(), lambda: datetime(2026, 11, 24, tzinfo=UTC)))
    try:
        async with asyncio.timeout(5):
            await retention.done.wait()
    finally:
        await bootstrap._end(task)
    assert task.cancelled()


async def test_certificates_that_cannot_be_read_are_told_and_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unready() -> None:
        raise FileNotFoundError("no such file")

    monkeypatch.setattr(bootstrap, "_READY_AFTER", 0)
    monkeypatch.setattr(bootstrap, "get_ready", unready)
    with logged() as lines:
        await bootstrap._get_ready()
    (line,) = lines
    assert line["event"] == "certificates.unreadable"
    assert line["reason"] == "no such file; look at SSL_CERT_FILE and SSL_CERT_DIR"
