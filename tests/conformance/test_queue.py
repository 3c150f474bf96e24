"""The dispatcher's side: what is claimed, what becomes of it, and that nothing falls out in between."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from support.stored import IMAGE, NOW, asked, at, attempt, claimed, pending, settled, states, stored, wanted

import service.store.queue
from service.domain.attempts import Settlement
from service.domain.purges import Action, Purge, PurgeState
from service.store.engine import Engine
from service.store.purges import Purges
from service.store.queue import Queue

DELETE, INVALIDATE = Action.DELETE, Action.INVALIDATE


def image(number: int) -> str:
    return f"https://img.example.com/{number}.jpg"


async def test_an_empty_queue_has_nothing(engine: Engine) -> None:
    queue = Queue(engine)
    assert await queue.projects() == []
    assert await queue.next_due_at("shop") is None
    assert await queue.claim("shop", "w", NOW, 8) == []
    assert await queue.recover("shop") == 0


async def test_a_claim_takes_what_is_due_oldest_first(engine: Engine) -> None:
    for number, settle in enumerate((3, 1, 2, 9)):
        await asked(engine, wanted(image(number), settle=settle))
    queue = Queue(engine)
    assert await queue.next_due_at("shop") == at(1)
    taken = await queue.claim("shop", "w", at(3), 2)
    assert [purge.src_image for purge in taken] == [image(1), image(2)]
    assert {(purge.state, purge.attempts) for purge in taken} == {(PurgeState.CLAIMED, 1)}
    assert [purge.src_image for purge in await queue.claim("shop", "w", at(3), 8)] == [image(0)]
    assert await queue.next_due_at("shop") == at(9)


async def test_a_claim_is_of_one_action_and_deadline(engine: Engine) -> None:
    kinds = [(DELETE, 60), (DELETE, 0), (INVALIDATE, 0), (DELETE, 60), (INVALIDATE, 0)]
    for number, (action, deadline) in enumerate(kinds):
        await asked(engine, wanted(image(number), action, deadline=deadline), now=at(number))
    calls = [[purge.src_image for purge in await claimed(engine, at(9))] for _ in range(4)]
    assert calls == [[image(0), image(3)], [image(1)], [image(2), image(4)], []]


async def test_a_thousand_of_another_deadline_do_not_keep_one_from_its_turn(engine: Engine) -> None:
    await asked(engine, *(wanted(image(number)) for number in range(1100)), now=at(1))
    await asked(engine, wanted(image(2000), deadline=0), now=at(2))
    await asked(engine, wanted(image(2001), deadline=0), now=at(0))
    assert [purge.src_image for purge in await claimed(engine, at(9))] == [image(2001)]
    sizes = [len(await claimed(engine, at(9), limit=500)) for _ in range(4)]
    assert sizes == [500, 500, 100, 1]


async def test_twenty_images_are_three_calls(engine: Engine) -> None:
    await asked(engine, *(wanted(image(number)) for number in range(20)))
    assert [len(await claimed(engine)) for _ in range(4)] == [8, 8, 4, 0]


async def test_projects_are_those_with_something_pending(engine: Engine) -> None:
    for project in ("shop", "blog", "shop", "docs"):
        await asked(engine, wanted(project=project))
    await claimed(engine, project="docs")
    assert await Queue(engine).projects() == ["blog", "shop"]
    assert [purge.project for purge in await claimed(engine, project="blog")] == ["blog"]


async def test_claims_at_the_same_moment_share_nothing(engine: Engine) -> None:
    await asked(engine, *(wanted(image(number)) for number in range(40)))
    calls = await asyncio.gather(*(Queue(engine).claim("shop", f"w{n}", NOW, 8) for n in range(10)))
    assert Counter(purge.src_image for call in calls for purge in call) == dict.fromkeys(map(image, range(40)), 1)


# -- an event during a call


async def test_an_event_during_a_call_causes_another_call_when_that_has_ended(engine: Engine) -> None:
    await asked(engine, wanted())
    (first,) = await claimed(engine)
    (second,) = await asked(engine, wanted(), now=at(1))
    assert second.id != first.id
    assert await claimed(engine, at(2)) == []
    assert await Queue(engine).next_due_at("shop") is None  # nobody knows when that call will have ended
    await settled(engine, first, PurgeState.DONE)
    assert [purge.id for purge in await claimed(engine, at(2))] == [second.id]


async def test_an_image_in_a_call_waits_for_it_whatever_the_action(engine: Engine) -> None:
    await asked(engine, wanted(action=INVALIDATE))
    (first,) = await claimed(engine)
    await asked(engine, wanted(), wanted(image(1)))
    assert [purge.src_image for purge in await claimed(engine)] == [image(1)]
    await settled(engine, first, PurgeState.DONE)
    assert [purge.action for purge in await claimed(engine)] == [DELETE]


# -- settling what was claimed


@pytest.mark.parametrize("state", [PurgeState.DONE, PurgeState.DEAD])
async def test_an_end_is_kept_with_its_attempt(engine: Engine, state: PurgeState) -> None:
    await asked(engine, wanted())
    (purge,) = await claimed(engine)
    call = attempt(now=at(5), status=None, outcome="transient", reason="no answer", images=3, duration_ms=20_000)
    await Queue(engine).settle(call, [purge], [Settlement(purge=purge, state=state, last_error="no answer")])
    story = await Purges(engine).get(purge.id)
    assert story is not None
    assert story.attempts == [call]
    after = story.purge
    assert (after.state, after.finished_at, after.last_error, after.attempts) == (state, at(5), "no answer", 1)
    assert await pending(engine) == []


async def test_an_attempt_without_settlement_leaves_the_purge_in_its_call(engine: Engine) -> None:
    await asked(engine, wanted(image(1)), wanted(image(2)))
    one, two = await claimed(engine)
    await Queue(engine).settle(
        attempt(outcome="split"), [one, two], [Settlement(purge=one, state=PurgeState.PENDING, due_at=NOW)]
    )
    assert await states(engine) == {one.id: PurgeState.PENDING, two.id: PurgeState.CLAIMED}


async def test_a_failed_call_is_due_again_later(engine: Engine) -> None:
    await asked(engine, wanted())
    (purge,) = await claimed(engine)
    await settled(engine, purge, PurgeState.PENDING, due_at=at(30), failing_since=at(1), last_error="503")
    assert await claimed(engine, at(29)) == []
    (again,) = await claimed(engine, at(30))
    assert (again.id, again.attempts, again.failing_since, again.last_error) == (purge.id, 2, at(1), "503")


async def test_a_settlement_that_comes_twice_is_one(engine: Engine) -> None:
    """The disk may fail after a commit as well: the dispatcher then settles again."""
    await asked(engine, wanted())
    (purge,) = await claimed(engine)
    call, end = attempt(), Settlement(purge=purge, state=PurgeState.PENDING, due_at=NOW, failing_since=NOW)
    await Queue(engine).settle(call, [purge], [end])
    (again,) = await claimed(engine)
    await settled(engine, again, PurgeState.DONE)
    (newer,) = await asked(engine, wanted())
    await Queue(engine).settle(call, [purge], [end])
    await Queue(engine).settle(call, [purge], [Settlement(purge=purge, state=PurgeState.DEAD)])
    await Queue(engine).release([purge])
    assert await states(engine) == {purge.id: PurgeState.DONE, newer.id: PurgeState.PENDING}
    story = await Purges(engine).get(purge.id)
    assert story is not None
    assert (story.purge.attempts, len(story.attempts)) == (2, 2)
    assert (await stored(engine, newer)).events == 1


# -- put back while a newer one waits


async def meanwhile(
    engine: Engine, called: Action, waits: Action, *, deadlines: tuple[int, int] = (60, 60), settle: float = 0
) -> tuple[Purge, Purge]:
    """One purge in a call and a newer one of the same image that waits for its end."""
    await asked(engine, wanted(action=called, deadline=deadlines[0]))
    (first,) = await claimed(engine)
    (second,) = await asked(engine, wanted(action=waits, deadline=deadlines[1], settle=settle), now=at(1))
    return first, second


@pytest.mark.parametrize(
    ("called", "waits", "survivor"),
    [
        pytest.param(DELETE, DELETE, "second", id="the newer of two deletes"),
        pytest.param(INVALIDATE, INVALIDATE, "second", id="the newer of two invalidates"),
        pytest.param(INVALIDATE, DELETE, "second", id="a delete does what the invalidate would"),
        pytest.param(DELETE, INVALIDATE, "first", id="also when it is the delete that comes back"),
    ],
)
@pytest.mark.parametrize("how", ["settle", "release", "recover"])
async def test_what_is_put_back_merges_with_what_waits(
    engine: Engine, called: Action, waits: Action, survivor: str, how: str
) -> None:
    first, second = await meanwhile(engine, called, waits)
    match how:
        case "settle":
            await settled(engine, first, PurgeState.PENDING, due_at=at(2), last_error="403")
        case "release":
            await Queue(engine).release([first])
        case _:
            assert await Queue(engine).recover("shop") == 1
    kept, lost = (first, second) if survivor == "first" else (second, first)
    assert await states(engine) == {kept.id: PurgeState.PENDING, lost.id: PurgeState.SUPERSEDED}
    assert (await stored(engine, lost)).superseded_by == kept.id
    after = await stored(engine, kept)
    assert (after.action, after.events) == (DELETE if DELETE in (called, waits) else INVALIDATE, 2)
    assert after.due_at >= second.due_at  # what the newer event's origin needs to settle is not cut short


@pytest.mark.parametrize("deadlines", [(0, 60), (60, 0)])
async def test_the_shorter_deadline_wins_when_they_merge(engine: Engine, deadlines: tuple[int, int]) -> None:
    first, second = await meanwhile(engine, DELETE, DELETE, deadlines=deadlines)
    await Queue(engine).release([first])
    assert (await stored(engine, second)).deadline == 0


async def test_an_invalidate_gives_a_delete_no_deadline(engine: Engine) -> None:
    first, second = await meanwhile(engine, INVALIDATE, DELETE, deadlines=(0, 60))
    await Queue(engine).release([first])
    assert (await stored(engine, second)).deadline == 60


async def test_the_heir_of_a_failing_purge_backs_off_in_its_place(engine: Engine) -> None:
    first, second = await meanwhile(engine, DELETE, DELETE)
    await settled(engine, first, PurgeState.PENDING, due_at=at(40), failing_since=at(-5), last_error="503")
    after = await stored(engine, second)
    assert (after.due_at, after.failing_since, after.attempts) == (at(40), at(-5), 1)


async def test_the_heir_of_a_purge_that_did_not_fail_keeps_its_own_time(engine: Engine) -> None:
    first, second = await meanwhile(engine, DELETE, DELETE, settle=3)
    await settled(engine, first, PurgeState.PENDING, due_at=at(40), last_error="403")
    after = await stored(engine, second)
    assert (after.due_at, after.failing_since, after.attempts) == (at(4), None, 0)


async def test_a_delete_that_comes_back_gives_the_absorbed_event_its_time_to_settle(engine: Engine) -> None:
    first, _ = await meanwhile(engine, DELETE, INVALIDATE, settle=3)
    await settled(engine, first, PurgeState.PENDING, due_at=at(2))
    assert (await stored(engine, first)).due_at == at(4)


@pytest.mark.parametrize("state", [PurgeState.DONE, PurgeState.DEAD])
async def test_the_end_of_a_call_does_not_touch_what_came_during_it(engine: Engine, state: PurgeState) -> None:
    first, second = await meanwhile(engine, DELETE, DELETE)
    await settled(engine, first, state)
    assert await states(engine) == {first.id: state, second.id: PurgeState.PENDING}


# -- released, recovered, buried


async def test_a_release_leaves_no_trace(engine: Engine) -> None:
    (before,) = await asked(engine, wanted(settle=1))
    taken = await claimed(engine, at(5))
    await Queue(engine).release(taken)
    assert await pending(engine) == [before]


async def test_a_recovered_purge_counts_the_call_that_may_have_been_made(engine: Engine) -> None:
    await asked(engine, *(wanted(image(number)) for number in range(3)))
    await claimed(engine, limit=2)
    assert await Queue(engine).recover("shop") == 2
    assert await Queue(engine).recover("shop") == 0
    assert sorted(purge.attempts for purge in await claimed(engine)) == [1, 2, 2]


async def test_many_orphans_are_buried_some_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.store.queue, "_STEP", 3)
    await asked(engine, *(wanted(image(number), project="gone") for number in range(7)))
    (fresh,) = await asked(engine, wanted(image(7), project="gone"), now=at(10))
    commits: list[int] = []
    engine.measure(lambda jobs, _: commits.append(jobs))
    assert await Queue(engine).bury_orphans("gone", at(10), at(99), "not configured") == 7
    assert [purge.id for purge in await pending(engine)] == [fresh.id]
    assert len(commits) == 4  # three of them, three, one, and none left


async def test_orphans_are_buried_when_they_are_old(engine: Engine) -> None:
    (old,) = await asked(engine, wanted(project="gone"))
    (new,) = await asked(engine, wanted(image(1), project="gone"), now=at(10))
    (other,) = await asked(engine, wanted())
    assert await Queue(engine).bury_orphans("gone", at(10), at(99), "not configured") == 1
    assert await states(engine) == {
        old.id: PurgeState.DEAD,
        new.id: PurgeState.PENDING,
        other.id: PurgeState.PENDING,
    }
    buried = await stored(engine, old)
    assert (buried.finished_at, buried.last_error, buried.src_image) == (at(99), "not configured", IMAGE)


@pytest.mark.parametrize("state", [PurgeState.DONE, PurgeState.DEAD, PurgeState.PENDING])
async def test_a_former_owner_s_late_word_changes_nothing_of_the_next_one_s_call(
    engine: Engine, state: PurgeState
) -> None:
    """It was taken for dead, and the purge is in a call of another process by now: that one has the last word."""
    await asked(engine, wanted())
    (former,) = await claimed(engine)
    assert await Queue(engine).recover("shop") == 1
    (present,) = await claimed(engine)
    await settled(engine, former, state, due_at=NOW)
    assert (await stored(engine, present)).state is PurgeState.CLAIMED
    await settled(engine, present, PurgeState.DONE)
    assert (await stored(engine, present)).state is PurgeState.DONE
