"""A webhook's trace is kept beside its receipt, found from the purges it asked for, and goes when the receipt goes."""

from __future__ import annotations

from datetime import timedelta

from support.stored import NOW, at, claimed, event, settled, taken

from service.domain.purges import PurgeState
from service.settings.model import Retention as Limits
from service.store.assets import Assets
from service.store.engine import Engine, Tx
from service.store.retention import Retention
from service.store.traces import Traces

SPANS = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 80)]


async def kept(engine: Engine) -> int:
    """The rows of the table."""

    def job(tx: Tx) -> int:
        row = tx.connection.cursor().execute("SELECT COUNT(*) FROM traces").fetchone()
        return int(row[0])

    return await engine.read(job)


async def test_nothing_is_written_without_a_trace(engine: Engine) -> None:
    await taken(engine, event("/one.jpg"), event_id="e1")
    (purge,) = await claimed(engine)
    assert await Traces(engine).of_purges([purge.id]) == []
    assert await kept(engine) == 0


async def test_purges_lead_to_the_traces_of_all_their_webhooks(engine: Engine) -> None:
    await taken(engine, event("/one.jpg"), event_id="e1", now=NOW, traceparent=SPANS[1])
    await taken(engine, event("/one.jpg"), event_id="e2", now=at(1), traceparent=SPANS[0])
    await taken(engine, event("/one.jpg"), event_id="e3", now=at(2))
    await taken(engine, event("/one.jpg"), event_id="e1", now=at(3), traceparent=SPANS[5])  # delivered once more
    await taken(engine, event("/two.jpg", id="a2"), event_id="e4", now=at(4), traceparent=SPANS[2])
    await taken(engine, event("/else.jpg", id="a3"), event_id="e5", now=at(900), traceparent=SPANS[3])
    purges = [purge.id for purge in await claimed(engine, at(5))]
    assert len(purges) == 2
    assert await Traces(engine).of_purges(purges) == [SPANS[1], SPANS[0], SPANS[2]], "oldest first"
    assert await Traces(engine).of_purges(purges[:1] * 2 + ["prg_none"]) != []


async def test_of_very_many_some_will_do(engine: Engine) -> None:
    for number, span in enumerate(SPANS):
        await taken(engine, event("/one.jpg"), event_id=f"e{number}", now=at(number / 100), traceparent=span)
    (purge,) = await claimed(engine, at(5))
    found = await Traces(engine).of_purges([purge.id])
    assert len(found) == 64 < len(SPANS)
    assert set(found) < set(SPANS)


async def test_it_goes_with_its_receipt(engine: Engine) -> None:
    await taken(engine, event("/one.jpg"), event_id="e1", traceparent=SPANS[0])
    (purge,) = await claimed(engine)
    await settled(engine, purge, PurgeState.DONE)
    retention = Retention(engine)
    for days, left in ((29, 1), (31, 0)):
        while await retention.step(NOW + timedelta(days=days), Limits(receipts=30, purges=60, dead=365)):
            pass
        assert await kept(engine) == left


async def test_assets_are_counted_about(engine: Engine) -> None:
    assert await Assets(engine).remembered() == 0
    for number in range(3):
        await taken(engine, event(f"/{number}.jpg", id=f"a{number}"), event_id=f"e{number}")
    await engine.write(lambda tx: tx.connection.cursor().execute("ANALYZE assets") and None)  # the planner's own time
    assert await Assets(engine).remembered() == 3
