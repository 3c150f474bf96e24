"""Assets that an operator knows of: remembered beside what events have told, on every database."""

from __future__ import annotations

from support.stored import NOW, Rules, accept, at, event, receipt

from service.domain.memory import AssetMemory
from service.store.assets import Assets, Known
from service.store.engine import Engine
from service.store.inbox import Inbox

OLD, NEW, SIDE = (f"https://img.example.com/{name}.jpg" for name in ("old", "new", "side"))


async def remembered(engine: Engine, asset_id: str = "a1", environment: str = "") -> AssetMemory:
    return dict(await Inbox(engine).assets("cms", asset_id))[environment]


async def learn(engine: Engine, *known: Known, limit: int = 32) -> int:
    return await Assets(engine).learn("cms", known, NOW, limit)


async def test_what_was_not_known_is_the_asset_s_present_state(engine: Engine) -> None:
    assert await learn(engine, Known("a1", (OLD, SIDE)), Known("a1", (NEW,), "staging"), Known("a2", (SIDE,))) == 3
    assert await remembered(engine) == AssetMemory(urls=(OLD, SIDE))
    assert await remembered(engine, environment="staging") == AssetMemory(urls=(NEW,))
    assert await learn(engine, Known("a1", (OLD, SIDE))) == 0, "again changes nothing"
    assert await remembered(engine) == AssetMemory(urls=(OLD, SIDE))


async def test_the_next_event_finds_it(engine: Engine) -> None:
    await learn(engine, Known("a1", (OLD,)))
    await accept(Inbox(engine), receipt("e1"), [event(NEW, id="a1", occurred_at=at(-1000))], Rules())
    assert (await remembered(engine)).earlier_urls == (OLD,)


async def test_what_events_have_told_stays(engine: Engine) -> None:
    await accept(Inbox(engine), receipt("e1"), [event(NEW, id="a1", occurred_at=at(0))], Rules())
    before = await remembered(engine)
    assert await learn(engine, Known("a1", (NEW,))) == 0
    assert await remembered(engine) == before
    assert await learn(engine, Known("a1", (OLD, NEW))) == 0
    after = await remembered(engine)
    assert (after.urls, after.earlier_urls, after.occurred_at) == ((NEW,), (OLD,), at(0))
    await learn(engine, Known("a1", (SIDE,)), limit=1)
    assert (await remembered(engine)).earlier_urls == (SIDE,)


async def test_without_an_environment_it_is_known_in_each_until_that_has_an_event_of_its_own(engine: Engine) -> None:
    await learn(engine, Known("a1", (OLD,)), Known("a2", (SIDE,)))
    rules = Rules()
    for number, environment in enumerate(["master", "staging", "master"]):
        told = event(f"{NEW}?{number}", id="a1", environment=environment)
        await accept(Inbox(engine), receipt(f"e{number}"), [told], rules)
    known = AssetMemory(urls=(OLD,))
    assert rules.remembered[:2] == [known, known]
    assert (await remembered(engine, environment="staging")).earlier_urls == (OLD,)
    assert (await remembered(engine, environment="master")).earlier_urls == (f"{NEW}?0", OLD)
    assert await remembered(engine) == known, "what was imported stays for other environments"
