"""What is past its time goes in small steps, and nothing else goes."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from support.stored import NOW, Rules, accept, asked, at, attempt, claimed, event, receipt, settled, states, wanted

from service.domain.attempts import Settlement
from service.domain.purges import PurgeState, ReceiptStatus
from service.settings.model import Retention as Limits
from service.store.board import Board
from service.store.engine import Engine
from service.store.inbox import Inbox
from service.store.purges import Purges
from service.store.queue import Queue
from service.store.retention import STEP, Retention

LIMITS = Limits(receipts=30, purges=30, dead=365)
DAY = 86_400


def day(number: float) -> datetime:
    return NOW + timedelta(days=number)


async def pruned(engine: Engine, now: datetime) -> list[int]:
    """The size of every step until nothing is left to do."""
    steps = []
    while step := await Retention(engine).step(now, LIMITS):
        steps.append(step)
    return steps


async def test_an_empty_store_has_nothing_to_prune(engine: Engine) -> None:
    assert await Retention(engine).step(NOW, LIMITS) == 0


async def test_each_kind_goes_when_its_time_has_come(engine: Engine) -> None:
    await asked(engine, *(wanted(f"/{name}.png") for name in ("dead", "done", "pending")))
    dead, done, waits = await claimed(engine)
    await settled(engine, dead, PurgeState.DEAD)
    await settled(engine, done, PurgeState.DONE, at(DAY))
    await settled(engine, waits, PurgeState.PENDING, due_at=day(900), failing_since=NOW)
    await Inbox(engine).keep(receipt(status=ReceiptStatus.REFUSED), 10)
    kept = {dead.id: PurgeState.DEAD, done.id: PurgeState.DONE, waits.id: PurgeState.PENDING}
    for when, rows, gone, receipts in (
        (day(29.9), 0, None, 2),
        (day(30.1), 5, None, 0),  # both receipts, and the links to three purges
        (day(31.1), 2, done, 0),  # with its attempt
        (day(364), 0, None, 0),
        (day(365.1), 2, dead, 0),
        (day(5000), 0, None, 0),
    ):
        assert sum(await pruned(engine, when)) == rows
        if gone is not None:
            del kept[gone.id]
        assert await states(engine) == kept
        assert len(await Inbox(engine).list()) == receipts
    story = await Purges(engine).get(waits.id)
    assert story is not None
    assert (len(story.attempts), story.receipts) == (1, [])


async def test_an_event_id_may_come_again_when_its_receipt_is_gone(engine: Engine) -> None:
    inbox = Inbox(engine)
    await accept(inbox, receipt("e1", status=ReceiptStatus.IGNORED), [], Rules())
    await pruned(engine, day(31))
    again = receipt("e1", day(31), status=ReceiptStatus.IGNORED)
    assert (await accept(inbox, again, [], Rules())).status == "ignored"


async def test_a_purge_that_goes_before_its_receipt_takes_its_link_along(engine: Engine) -> None:
    (purge,) = await asked(engine, wanted())
    await Purges(engine).drop(purge.id, NOW)
    short = Limits(purges=1, receipts=30)
    assert await Retention(engine).step(day(2), short) == 2
    (kept,) = await Inbox(engine).list()
    assert await Inbox(engine).purges_of(kept.id) == []


async def test_steps_are_small_however_much_hangs_on_one_row(engine: Engine) -> None:
    await asked(engine, *(wanted(f"/{number}.png") for number in range(STEP + 100)))
    queue = Queue(engine)
    while purges := await claimed(engine, limit=100):
        await queue.settle(attempt(), purges, [Settlement(purge=purge, state=PurgeState.DONE) for purge in purges])
    (much,) = await asked(engine, wanted("/much.png"))
    await asyncio.gather(*(queue.settle(attempt(f"call_{number}"), [much], []) for number in range(STEP + 50)))
    await Purges(engine).drop(much.id, NOW)
    steps = await pruned(engine, day(31))
    assert max(steps) <= STEP
    assert set(steps[:-1]) == {STEP}
    # purges and their links and attempts; the one with many attempts; two receipts
    assert sum(steps) == 3 * (STEP + 100) + (STEP + 50 + 2) + 2
    assert await states(engine) == {}
    assert await Inbox(engine).list() == []


async def test_what_is_asked_for_while_pruning_stays(engine: Engine) -> None:
    await accept(Inbox(engine), receipt(now=day(31)), [event("/a.png")], Rules())
    assert await pruned(engine, day(31)) == []
    assert len(await states(engine)) == 1


async def test_used_up_budgets_that_have_come_back_go(engine: Engine) -> None:
    board = Board(engine)
    await board.block("f1", at(10))
    await board.block("f2", at(20))
    assert await pruned(engine, at(10)) == [1]
    assert await board.quotas(NOW) == {"f2": at(20)}
