"""Purges in an operator's hands."""

from __future__ import annotations

from typing import Any

import pytest
from support.stored import NOW, asked, at, claimed, pending, settled, states, stored, wanted

from service.domain.errors import CommandFailed
from service.domain.purges import Action, Purge, PurgeState
from service.store.engine import Engine
from service.store.purges import Backlog, Purges
from service.store.queue import Queue


def image(number: int) -> str:
    return f"https://img.example.com/{number}.jpg"


async def ended(engine: Engine, number: int, state: PurgeState, **more: Any) -> Purge:
    """A purge that has come to this state the usual way."""
    (purge,) = await asked(engine, wanted(image(number), **more))
    if state is PurgeState.DROPPED:
        await Purges(engine).drop(purge.id, at(1))
    elif state is not PurgeState.PENDING:
        (purge,) = await claimed(engine, project=purge.project)
        if state is not PurgeState.CLAIMED:
            await settled(engine, purge, state, last_error="because")
    return await stored(engine, purge)


async def test_listings_are_filtered_and_paged(engine: Engine) -> None:
    purges = Purges(engine)
    for number in range(4):
        await asked(engine, wanted(image(number), project=f"p{number % 2}"), now=at(number))
    newest = await purges.list(limit=3)
    assert [one.src_image for one in newest] == [image(3), image(2), image(1)]
    assert [one.src_image for one in await purges.list(before=newest[-1].id)] == [image(0)]
    assert [one.src_image for one in await purges.list(project="p1")] == [image(3), image(1)]
    assert [one.project for one in await purges.list(src_image=image(2))] == ["p0"]
    await claimed(engine, at(9), project="p0")
    assert [one.src_image for one in await purges.list(state="claimed", limit=1)] == [image(2)]


async def test_there_is_no_story_of_an_unknown_purge(engine: Engine) -> None:
    assert await Purges(engine).get("prg_none") is None


@pytest.mark.parametrize("state", [PurgeState.DEAD, PurgeState.DROPPED, PurgeState.PENDING])
async def test_retrying_makes_it_due_now(engine: Engine, state: PurgeState) -> None:
    purge = await ended(engine, 1, state, settle=0 if state is PurgeState.DEAD else 900)
    assert await Purges(engine).retry(purge.id, at(50)) == purge.id
    after = await stored(engine, purge)
    assert (after.state, after.finished_at, after.failing_since) == (PurgeState.PENDING, None, None)
    assert after.due_at == at(50)
    assert [one.id for one in await claimed(engine, at(50))] == [purge.id]


async def test_retrying_what_is_due_does_not_lose_its_place(engine: Engine) -> None:
    purge = await ended(engine, 1, PurgeState.PENDING)
    await Purges(engine).retry(purge.id, at(50))
    assert (await stored(engine, purge)).due_at == NOW


async def test_retrying_beside_a_newer_purge_of_the_image_makes_that_due(engine: Engine) -> None:
    dead = await ended(engine, 1, PurgeState.DEAD, deadline=0)
    (newer,) = await asked(engine, wanted(image(1), settle=900))
    assert await Purges(engine).retry(dead.id, at(50)) == newer.id
    after = await stored(engine, newer)
    assert (after.due_at, after.deadline, after.events) == (at(50), 0, 2)
    assert await states(engine) == {dead.id: PurgeState.SUPERSEDED, newer.id: PurgeState.PENDING}


async def test_a_retried_delete_absorbs_the_invalidate_that_waits(engine: Engine) -> None:
    dead = await ended(engine, 1, PurgeState.DEAD)
    (newer,) = await asked(engine, wanted(image(1), Action.INVALIDATE, settle=900))
    assert await Purges(engine).retry(dead.id, at(50)) == dead.id
    assert await states(engine) == {dead.id: PurgeState.PENDING, newer.id: PurgeState.SUPERSEDED}
    assert (await stored(engine, dead)).due_at == at(50)  # the operator says now


@pytest.mark.parametrize("state", [PurgeState.DONE, PurgeState.CLAIMED])
async def test_what_cannot_be_retried_says_why(engine: Engine, state: PurgeState) -> None:
    purge = await ended(engine, 1, state)
    with pytest.raises(CommandFailed, match=f"{purge.id} is {state}: only dead"):
        await Purges(engine).retry(purge.id, NOW)


async def test_a_superseded_one_names_its_heir(engine: Engine) -> None:
    (first,) = await asked(engine, wanted(image(1), Action.INVALIDATE))
    (second,) = await asked(engine, wanted(image(1)))
    with pytest.raises(CommandFailed, match=f"superseded, by {second.id}"):
        await Purges(engine).retry(first.id, NOW)


async def test_what_vercel_would_refuse_is_never_sent(engine: Engine) -> None:
    (refused,) = await asked(engine, wanted("/*.png", refusal="has a *"))
    purges = Purges(engine)
    for _ in range(2):
        with pytest.raises(CommandFailed, match=r"may not be sent to Vercel \(has a \*\)"):
            await purges.retry(refused.id, NOW)
        if (await stored(engine, refused)).state is PurgeState.DEAD:
            await purges.drop(refused.id, NOW)
    assert await pending(engine) == []


async def test_all_dead_purges_of_a_project_at_once(engine: Engine) -> None:
    count = 450  # more than two transactions' worth
    await asked(engine, *(wanted(image(number)) for number in range(count)))
    assert await Queue(engine).bury_orphans("shop", at(1), at(2), "too old") == count
    await asked(engine, wanted("/*.png", refusal="has a *"), wanted(image(0)))
    elsewhere = await ended(engine, 1, PurgeState.DEAD, project="blog")
    assert await Purges(engine).retry_dead("shop", at(9)) == count
    assert len(await pending(engine)) == count
    assert len(await claimed(engine, at(9), limit=1000)) == count
    assert {one.id for one in await Purges(engine).list(state="dead", limit=1000)} > {elsewhere.id}
    assert await Purges(engine).retry_dead("shop", at(9)) == 0


@pytest.mark.parametrize("state", [PurgeState.PENDING, PurgeState.DEAD])
async def test_dropping_ends_it_without_a_call(engine: Engine, state: PurgeState) -> None:
    purge = await ended(engine, 1, state)
    await Purges(engine).drop(purge.id, at(7))
    after = await stored(engine, purge)
    assert (after.state, after.finished_at, after.last_error) == (PurgeState.DROPPED, at(7), purge.last_error)
    assert await claimed(engine, at(99)) == []


@pytest.mark.parametrize("state", [PurgeState.DONE, PurgeState.CLAIMED, PurgeState.DROPPED])
async def test_what_cannot_be_dropped_says_why(engine: Engine, state: PurgeState) -> None:
    purge = await ended(engine, 1, state)
    with pytest.raises(CommandFailed, match=f"{purge.id} is {state}: only pending"):
        await Purges(engine).drop(purge.id, NOW)


async def test_unknown_purges_say_where_to_look(engine: Engine) -> None:
    for work in (Purges(engine).retry, Purges(engine).drop):
        with pytest.raises(CommandFailed, match="no purge prg_none: `image-relay purges list`"):
            await work("prg_none", NOW)


async def test_the_backlog_counts_what_is_not_over_by_project(engine: Engine) -> None:
    assert await Purges(engine).backlog() == []
    await asked(engine, wanted(image(1)), now=at(5))
    await asked(engine, wanted(image(2), settle=60), now=at(3))
    await claimed(engine, at(5))
    await asked(engine, wanted(image(3)), now=at(6))
    await ended(engine, 4, PurgeState.DEAD, project="blog")
    await ended(engine, 5, PurgeState.DONE, project="blog")
    assert sorted(await Purges(engine).backlog(), key=lambda one: (one.project, one.state)) == [
        Backlog("blog", PurgeState.DEAD, 1, NOW),
        Backlog("shop", PurgeState.CLAIMED, 1, at(5)),
        Backlog("shop", PurgeState.PENDING, 2, at(3)),
    ]
