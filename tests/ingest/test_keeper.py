"""Refused requests in the background: few commits, bounded memory, nothing lost in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.intake import NOW, BrokenInbox
from support.told import logged

from service.domain.ids import new_id
from service.domain.purges import ReceiptStatus
from service.domain.receipts import NewReceipt
from service.ingest.keeper import Keeper
from service.store.inbox import Inbox
from service.store.sqlite import SqliteEngine


def refused(number: int = 0) -> NewReceipt:
    return NewReceipt(
        id=new_id("rcp", NOW),
        source="cms",
        status=ReceiptStatus.REFUSED,
        reason=f"signature_mismatch: {number}",
        scheme=None,
        method="POST",
        path="/hooks/cms",
        headers={},
        body=b"x",
        body_bytes=1,
        received_at=NOW,
    )


class Counting(BrokenInbox):
    """Counts what is kept, and says when a number of them is there."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.kept: list[tuple[str | None, int]] = []
        self.there = asyncio.Event()
        self._wanted = wanted

    async def keep(self, new: NewReceipt, newest: int) -> None:
        self.kept.append((new.reason, newest))
        if len(self.kept) == self._wanted:
            self.there.set()


@asynccontextmanager
async def running(keeper: Keeper) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(keeper.run())
    yield task
    task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)


async def test_what_is_offered_is_stored_in_order() -> None:
    inbox = Counting(6)
    keeper = Keeper(inbox, 7, pause=0)
    async with running(keeper):
        for number in range(3):
            keeper.offer(refused(number))
        await asyncio.sleep(0)
        for number in range(3, 6):
            keeper.offer(refused(number))
        await asyncio.wait_for(inbox.there.wait(), 5)
    assert inbox.kept == [(f"signature_mismatch: {number}", 7) for number in range(6)]


async def test_offering_never_waits_and_the_overflow_is_told(tmp_path: Path) -> None:
    inbox = Counting(3)
    keeper = Keeper(inbox, 7, waiting=3, pause=0)
    assert [keeper.offer(refused(number)) for number in range(10)] == [True] * 3 + [False] * 7
    with logged() as lines:
        async with running(keeper):
            await asyncio.wait_for(inbox.there.wait(), 5)
    assert len(inbox.kept) == 3
    assert lines == [{"event": "refused.not_kept", "log_level": "warning", "overflow": 7, "failed": 0, "reason": None}]


async def test_a_store_in_trouble_is_told_and_survived() -> None:
    keeper = Keeper(BrokenInbox(), 7, pause=0)
    with logged() as lines:
        async with running(keeper) as task:
            for number in range(2):
                keeper.offer(refused(number))
            while not lines:
                await asyncio.sleep(0)
            assert not task.done()
    told: dict[str, Any] = dict(lines[0])
    assert (told["failed"], told["overflow"], told["reason"]) == (2, 0, "the disk is full")


async def test_the_end_stores_what_is_left() -> None:
    inbox = Counting(3)
    keeper = Keeper(inbox, 7, pause=3600)
    async with running(keeper):
        keeper.offer(refused(0))
        while not inbox.kept:
            await asyncio.sleep(0)
        for number in range(1, 3):
            keeper.offer(refused(number))
        assert len(inbox.kept) == 1, "there is a pause between two commits"
    assert len(inbox.kept) == 3


async def test_a_batch_is_one_commit_and_only_the_newest_stay(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "relay.db")
    try:
        keeper = Keeper(Inbox(engine), 5, pause=0)
        for number in range(60):
            keeper.offer(refused(number))
        before = engine.stats.commits
        async with running(keeper):
            while engine.stats.jobs < 60:
                await asyncio.sleep(0.001)
        assert engine.stats.commits - before <= 2  # the writer may take up the first one alone
        assert len(await Inbox(engine).list()) == 5
    finally:
        await engine.close()
