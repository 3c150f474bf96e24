"""Receipts, the purges they lead to and the memory of assets: all of it or nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec import structs
from support.stored import IMAGE, NOW, Rules, accept, asked, at, event, pending, receipt, settled, stored, taken, wanted

from service.domain.errors import CommandFailed
from service.domain.events import AssetEvent, AssetKind
from service.domain.memory import AssetMemory
from service.domain.purges import Action, PurgeState, ReceiptStatus
from service.domain.receipts import PlannedEvent
from service.store.engine import Engine
from service.store.inbox import Inbox
from service.store.purges import Purges
from service.store.queue import Queue

OLD = "https://img.example.com/old.jpg"
NEW = "https://img.example.com/new.jpg"
BAD = "https://img.example.com/*.jpg"


async def test_an_accepted_receipt_comes_back_as_it_went_in(engine: Engine) -> None:
    inbox = Inbox(engine)
    new = receipt("e1", body=b"\x00\xff body", body_bytes=7, signed_at=at(-3), path="/hooks/cms?a=%2F&b=é")
    accepted = await accept(inbox, new, [event(IMAGE)], Rules())
    assert (accepted.id, accepted.status, accepted.reason, accepted.purges) == (new.id, "accepted", None, 1)
    kept = await inbox.get(new.id)
    assert kept is not None
    assert kept.whole
    for field in ("id", "source", "scheme", "method", "path", "headers", "body", "received_at", "signed_at"):
        assert getattr(kept, field) == getattr(new, field), field
    assert (kept.status, kept.deliveries, kept.seen_at, kept.trace) == ("accepted", 1, NOW, [{"event": {"id": "a1"}}])


async def test_there_is_no_receipt_of_an_unknown_id(engine: Engine) -> None:
    assert await Inbox(engine).get("rcp_none") is None


async def test_a_purge_is_linked_to_its_receipt_and_rule(engine: Engine) -> None:
    accepted = await taken(engine, event(), rules=Rules(wanted(rule="photos", settle=2)))
    ((purge, rule),) = await Inbox(engine).purges_of(accepted.id)
    assert (purge.src_image, purge.project, purge.action, purge.deadline, rule) == (
        IMAGE,
        "shop",
        "delete",
        60,
        "photos",
    )
    assert (purge.state, purge.created_at, purge.due_at, purge.events) == (PurgeState.PENDING, NOW, at(2), 1)
    story = await Purges(engine).get(purge.id)
    assert story is not None
    assert [(one["id"], one["rule"]) for one in story.receipts] == [(accepted.id, "photos")]


@pytest.mark.parametrize("events", [1, 20], ids=["few", "many"])
async def test_a_second_delivery_only_counts(engine: Engine, events: int) -> None:
    inbox = Inbox(engine)
    told = [event(f"https://img.example.com/{n}.jpg", id=f"a{n}") for n in range(events)]
    first = receipt("e1")
    await accept(inbox, first, told, Rules())
    rules = Rules()
    again = await accept(inbox, receipt("e1", at(60)), told, rules)
    assert (again.id, again.status, again.purges, again.planned) == (first.id, "duplicate", 0, ())
    assert rules.seen == []  # it is not planned for nothing
    kept = await inbox.get(first.id)
    assert kept is not None
    assert (kept.deliveries, kept.seen_at, kept.received_at) == (2, at(60), NOW)
    assert [purge.events for purge in await pending(engine)] == [1] * events
    assert len(await inbox.list()) == 1


async def test_deliveries_at_the_same_moment_make_one_receipt(engine: Engine) -> None:
    results = await asyncio.gather(*(taken(engine, event(IMAGE), event_id="e1") for _ in range(20)))
    assert sorted(result.status for result in results) == ["accepted"] + ["duplicate"] * 19
    assert len({result.id for result in results}) == 1
    (purge,) = await pending(engine)
    assert purge.events == 1


async def test_what_was_rolled_back_burns_no_event_id(engine: Engine) -> None:
    def broken(told: AssetEvent, memory: AssetMemory | None) -> PlannedEvent:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await accept(Inbox(engine), receipt("e1"), [event(IMAGE)], broken)
    assert await Inbox(engine).list() == []
    assert (await taken(engine, event(IMAGE), event_id="e1")).status == "accepted"


async def test_refused_and_unreadable_requests_burn_no_event_id(engine: Engine) -> None:
    inbox = Inbox(engine)
    for status in (ReceiptStatus.REFUSED, ReceiptStatus.UNREADABLE):
        await inbox.keep(receipt(status=status, reason="why"), 10)
    assert (await taken(engine, event(IMAGE), event_id="e1")).status == "accepted"
    assert {(one.status, one.reason) for one in await inbox.list()} == {
        ("accepted", None),
        ("refused", "why"),
        ("unreadable", "why"),
    }


@pytest.mark.parametrize("status", [ReceiptStatus.IGNORED, ReceiptStatus.TEST])
async def test_what_is_about_no_image_keeps_its_verdict(engine: Engine, status: ReceiptStatus) -> None:
    inbox = Inbox(engine)
    accepted = await accept(inbox, receipt("e1", status=status, reason="a page"), [], Rules())
    assert (accepted.status, accepted.reason) == (status, "a page")
    assert (await accept(inbox, receipt("e1", status=status), [], Rules())).status == "duplicate"


async def test_the_newest_refused_requests_of_a_source_stay(engine: Engine) -> None:
    inbox = Inbox(engine)
    for number in range(5):
        await inbox.keep(receipt(now=at(number), status=ReceiptStatus.REFUSED), 3)
        await inbox.keep(receipt(now=at(number), status=ReceiptStatus.REFUSED, source="other"), 10)
    assert [one.received_at for one in await inbox.list(source="cms")] == [at(4), at(3), at(2)]
    assert len(await inbox.list(source="other")) == 5


async def test_a_request_that_was_cut_short_is_not_whole(engine: Engine) -> None:
    new = receipt(status=ReceiptStatus.REFUSED, body=b"abc", body_bytes=300)
    await Inbox(engine).keep(new, 10)
    kept = await Inbox(engine).get(new.id)
    assert kept is not None
    assert not kept.whole


async def test_listings_are_filtered_and_paged(engine: Engine) -> None:
    inbox = Inbox(engine)
    for number in range(6):
        await accept(inbox, receipt(now=at(number), source=f"s{number % 2}"), [event()], Rules())
    pages, before = [], None
    while page := await inbox.list(before=before, limit=4):
        pages.append([one.received_at for one in page])
        before = page[-1].id
    assert pages == [[at(5), at(4), at(3), at(2)], [at(1), at(0)]]
    assert [one.received_at for one in await inbox.list(source="s1", status="unmatched")] == [at(5), at(3), at(1)]
    assert await inbox.list(status="accepted") == []
    assert all(one.body is None for one in await inbox.list())


async def test_no_rule_that_matches_is_unmatched(engine: Engine) -> None:
    accepted = await taken(engine, event())
    assert (accepted.status, accepted.reason) == ("unmatched", "no rule gave a source image")


async def test_a_failed_rule_is_kept_with_its_reason_and_its_repeat_is_a_duplicate(engine: Engine) -> None:
    failed = await taken(engine, event(IMAGE), rules=Rules(failed="rule 'a': no such name"), event_id="e1")
    assert (failed.status, failed.reason) == ("unmatched", "rule 'a': no such name")
    assert (await taken(engine, event(IMAGE), event_id="e1")).status == "duplicate"


async def test_a_rule_that_fails_on_one_event_of_several_takes_nothing_from_the_others(engine: Engine) -> None:
    good, bad = Rules(), Rules(failed="rule 'b' failed")

    def rules(told: AssetEvent, memory: AssetMemory | None) -> PlannedEvent:
        return (bad if told.id == "bad" else good)(told, memory)

    events = [event(OLD, id="bad"), event(IMAGE, id="good"), event(NEW, id="bad")]
    accepted = await accept(Inbox(engine), receipt(), events, rules)
    assert (accepted.status, accepted.reason) == ("accepted", "rule 'b' failed; rule 'b' failed")
    assert [purge.src_image for purge in await pending(engine)] == [IMAGE]


async def test_one_image_of_several_events_is_one_purge(engine: Engine) -> None:
    accepted = await taken(engine, event(IMAGE), event(IMAGE), event(IMAGE, id="a2"))
    assert accepted.purges == 1
    ((purge, _),) = await Inbox(engine).purges_of(accepted.id)
    assert purge.events == 3


async def test_what_vercel_would_refuse_is_stored_dead_once(engine: Engine) -> None:
    refused = wanted(BAD, refusal="has a *")
    accepted = await taken(engine, event(), rules=Rules(refused, wanted()))
    assert (accepted.status, accepted.purges) == ("accepted", 2)
    await taken(engine, event(), rules=Rules(structs.replace(refused, refusal="has an asterisk")), now=at(9))
    (dead,) = await Purges(engine).list(state="dead")
    assert (dead.src_image, dead.last_error, dead.events) == (BAD, "has an asterisk", 2)
    assert (dead.created_at, dead.finished_at, dead.attempts) == (NOW, at(9), 0)


# -- memory


async def remembered(engine: Engine, environment: str = "") -> AssetMemory:
    return dict(await Inbox(engine).assets("cms", "a1"))[environment]


async def test_an_asset_is_remembered_and_its_earlier_url_purged(engine: Engine) -> None:
    await taken(engine, event(OLD, kind=AssetKind.CREATED, content_hash="h1", occurred_at=NOW))
    rules = Rules()
    await taken(engine, event(NEW, kind=AssetKind.UPDATED, content_hash="h2", occurred_at=at(5)), rules=rules)
    assert rules.seen[0].kind is AssetKind.REPLACED
    assert await remembered(engine) == AssetMemory(
        urls=(NEW,), earlier_urls=(OLD,), content_hash="h2", occurred_at=at(5)
    )
    await taken(engine, event(kind=AssetKind.DELETED), rules=rules)
    assert rules.seen[1].earlier_urls == (NEW, OLD)
    assert (await remembered(engine)).gone


async def test_environments_and_sources_have_memories_of_their_own(engine: Engine) -> None:
    await taken(engine, event(OLD), event(NEW, environment="staging"))
    await taken(engine, event(IMAGE), source="other")
    assert (await remembered(engine)).urls == (OLD,)
    assert (await remembered(engine, "staging")).urls == (NEW,)
    assert [name for name, _ in await Inbox(engine).assets("cms", "a1")] == ["", "staging"]
    assert await Inbox(engine).assets("cms", "unknown") == []


async def test_the_second_event_of_an_asset_in_a_request_knows_the_first(engine: Engine) -> None:
    rules = Rules()
    await taken(engine, event(OLD), event(NEW), rules=rules)
    assert rules.seen[1].earlier_urls == (OLD,)
    assert (await remembered(engine)).urls == (NEW,)


async def test_a_late_event_purges_and_does_not_revive_what_was_deleted_after_it(engine: Engine) -> None:
    deleted = event(OLD, kind=AssetKind.DELETED, sequence="2")
    await taken(engine, event(OLD, kind=AssetKind.CREATED, sequence="0"), deleted)
    accepted = await taken(engine, event(NEW, kind=AssetKind.UPDATED, sequence="1"), now=at(1))
    assert accepted.purges == 2
    assert await remembered(engine) == AssetMemory(urls=(OLD,), earlier_urls=(NEW,), gone=True, sequence="2")


# -- replay


async def replayed(engine: Engine, receipt_id: str, *events: AssetEvent, rules: Rules, seconds: float = 100) -> str:
    inbox = Inbox(engine)
    kept = await inbox.get(receipt_id)
    assert kept is not None
    new = receipt(kept.id, at(seconds), id=kept.id)
    return (await inbox.replan(kept, new, events, rules)).status


async def test_a_replay_after_the_rule_is_mended_finds_what_the_failure_hid(engine: Engine) -> None:
    await taken(engine, event(OLD, kind=AssetKind.CREATED))
    told = event(NEW, kind=AssetKind.UPDATED)
    failed = await taken(engine, told, rules=Rules(failed="no such name"), now=at(1))
    assert await remembered(engine) == AssetMemory(urls=(OLD,), earlier_urls=(NEW,))
    rules = Rules(kinds=[AssetKind.REPLACED])  # which `updated` is only in the light of the memory
    assert await replayed(engine, failed.id, told, rules=rules) == "accepted"
    assert {purge.src_image for purge in await pending(engine)} == {OLD, NEW}
    assert await remembered(engine) == AssetMemory(urls=(NEW,), earlier_urls=(OLD,))
    kept = await Inbox(engine).get(failed.id)
    assert kept is not None
    assert (kept.status, kept.reason, kept.received_at) == ("accepted", None, at(1))


async def test_a_replayed_purge_is_due_from_now_on(engine: Engine) -> None:
    rules = Rules(wanted(settle=2))
    failed = await taken(engine, event(), rules=Rules(failed="x"))
    await replayed(engine, failed.id, event(), rules=rules, seconds=500)
    (purge,) = await pending(engine)
    assert purge.due_at == at(502)


async def test_a_replay_of_what_was_accepted_asks_again(engine: Engine) -> None:
    accepted = await taken(engine, event(IMAGE))
    (first,) = await Queue(engine).claim("shop", "w", NOW, 8)
    await settled(engine, first, PurgeState.DONE)
    await replayed(engine, accepted.id, event(IMAGE), rules=Rules())
    await replayed(engine, accepted.id, event(IMAGE), rules=Rules())
    (again,) = await pending(engine)
    assert again.events == 2
    assert {purge.id for purge, _ in await Inbox(engine).purges_of(accepted.id)} == {first.id, again.id}


async def test_a_replay_does_not_bring_back_what_has_been_replaced_since(engine: Engine) -> None:
    first = await taken(engine, event(OLD))
    await taken(engine, event(NEW), now=at(1))
    deleted = event(OLD, kind=AssetKind.DELETED)
    for _ in range(2):
        await replayed(engine, first.id, deleted, deleted, rules=Rules())
        assert await remembered(engine) == AssetMemory(urls=(NEW,), earlier_urls=(OLD,))


async def test_receipts_replayed_in_their_order_leave_the_newest_state(engine: Engine) -> None:
    await taken(engine, event(IMAGE, kind=AssetKind.CREATED))
    failures = [await taken(engine, event(url), rules=Rules(failed="x"), now=at(n)) for n, url in ((1, OLD), (2, NEW))]
    for failure, url in zip(failures, (OLD, NEW), strict=True):
        await replayed(engine, failure.id, event(url), rules=Rules())
    assert await remembered(engine) == AssetMemory(urls=(NEW,), earlier_urls=(OLD, IMAGE))


async def test_the_senders_own_times_decide_where_it_gives_them(engine: Engine) -> None:
    refused = receipt(status=ReceiptStatus.REFUSED)
    await Inbox(engine).keep(refused, 10)
    await taken(engine, event(OLD, occurred_at=at(-9)), now=at(1))  # came later, and tells of an earlier time
    await replayed(engine, refused.id, event(NEW, occurred_at=at(-1)), rules=Rules())
    assert (await remembered(engine)).urls == (NEW,)


async def test_the_senders_own_numbers_decide_where_it_gives_them(engine: Engine) -> None:
    refused = receipt(status=ReceiptStatus.REFUSED)
    await Inbox(engine).keep(refused, 10)
    await taken(engine, event(OLD, sequence="1"), now=at(1))
    await replayed(engine, refused.id, event(NEW, sequence="2"), rules=Rules())
    assert (await remembered(engine)).urls == (NEW,)


async def test_a_refused_request_that_verifies_now_is_accepted_unless_its_event_came_again(engine: Engine) -> None:
    inbox = Inbox(engine)
    ids = []
    for name in ("e1", "e2"):
        refused = receipt(status=ReceiptStatus.REFUSED, reason="signature: wrong")
        await inbox.keep(refused, 10)
        ids.append((refused.id, name))
    holder = await taken(engine, event(IMAGE), event_id="e2")
    results = []
    for receipt_id, name in ids:
        kept = await inbox.get(receipt_id)
        assert kept is not None
        new = receipt(name, at(9), id=receipt_id, scheme="v1", signed_at=NOW)
        results.append(await inbox.replan(kept, new, [event(IMAGE)], Rules()))
    assert [(one.id, one.status) for one in results] == [(ids[0][0], "accepted"), (holder.id, "duplicate")]
    first, second = [await inbox.get(receipt_id) for receipt_id, _ in ids]
    assert first is not None
    assert second is not None
    assert (first.status, first.scheme, first.signed_at) == ("accepted", "v1", NOW)
    assert second.status == "refused"
    assert (await taken(engine, event(IMAGE), event_id="e1")).status == "duplicate"


async def test_a_receipt_removed_in_the_meantime_is_not_replayed(engine: Engine) -> None:
    inbox = Inbox(engine)
    await accept(inbox, new := receipt(), [], Rules())
    kept = await inbox.get(new.id)
    assert kept is not None
    with pytest.raises(CommandFailed, match="removed"):
        await inbox.replan(structs.replace(kept, id="rcp_gone"), receipt(), [event(IMAGE)], Rules())
    assert await pending(engine) == []


# -- merging, as webhooks come in


@pytest.mark.parametrize(
    ("first", "second", "state", "deadline"),
    [
        pytest.param(("delete", 60), ("delete", 0), "pending", 0, id="the shorter deadline wins"),
        pytest.param(("delete", 0), ("delete", 60), "pending", 0, id="also when it came first"),
        pytest.param(("delete", 60), ("invalidate", 0), "pending", 60, id="a delete absorbs a later invalidate"),
        pytest.param(("invalidate", 0), ("delete", 60), "superseded", 60, id="and an earlier one"),
        pytest.param(("invalidate", 0), ("invalidate", 0), "pending", 0, id="invalidates join"),
    ],
)
async def test_one_pending_purge_an_image(
    engine: Engine, first: tuple[str, int], second: tuple[str, int], state: str, deadline: int
) -> None:
    (one,) = await asked(engine, wanted(action=Action(first[0]), deadline=first[1]))
    (two,) = await asked(engine, wanted(action=Action(second[0]), deadline=second[1]))
    (waiting,) = await pending(engine)
    assert waiting.id == two.id
    assert (waiting.deadline, (await stored(engine, one)).state) == (deadline, state)
    if state == "superseded":
        superseded = await stored(engine, one)
        assert (superseded.superseded_by, superseded.finished_at) == (two.id, NOW)
        assert two.action is Action.DELETE
    else:
        assert (two.id, waiting.events) == (one.id, 2)


async def test_projects_and_images_do_not_join(engine: Engine) -> None:
    await asked(engine, wanted(), wanted(project="blog"), wanted(IMAGE + "?w=1"))
    assert len(await pending(engine)) == 3


@pytest.mark.parametrize(
    ("events", "due"),
    [
        pytest.param([(0, 2)], 2, id="settles"),
        pytest.param([(0, 2), (1, 2)], 3, id="restarts"),
        pytest.param([(n, 2) for n in range(12)], 10, id="never past five times its length"),
        pytest.param([(0, 2), (30, 2)], 10, id="nor when it is overdue"),
        pytest.param([(0, 2), (1, 0)], 1, id="no settling: now"),
        pytest.param([(0, 0), (1, 0)], 0, id="what is due keeps its place"),
        pytest.param([(0, 0), (1, 2)], 3, id="a due one waits for a later event to settle"),
        pytest.param([(0, 60), (1, 2)], 60, id="a longer time stays"),
        pytest.param([(0, 0.001), (0, 0.0004)], 0, id="rounded to milliseconds"),
    ],
)
@pytest.mark.parametrize("second", [Action.DELETE, Action.INVALIDATE], ids=str)
async def test_settling(engine: Engine, events: list[tuple[float, float]], due: float, second: Action) -> None:
    """The second action is absorbed by a pending delete, and has the same say in when that is due."""
    for number, (seconds, settle) in enumerate(events):
        action = second if number else Action.DELETE
        await asked(engine, wanted(settle=settle, action=action), now=at(seconds))
    (purge,) = await pending(engine)
    assert (purge.due_at, purge.events, purge.created_at) == (at(due), len(events), NOW)


@pytest.mark.parametrize("action", list(Action), ids=str)
@pytest.mark.parametrize("settle", [0, 2])
async def test_an_event_for_what_is_backing_off_keeps_its_time_and_merges_the_rest(
    engine: Engine, action: Action, settle: float
) -> None:
    await asked(engine, wanted())
    (purge,) = await Queue(engine).claim("shop", "w", NOW, 8)
    await settled(engine, purge, PurgeState.PENDING, due_at=at(300), failing_since=at(1), last_error="503")
    await asked(engine, wanted(action=action, deadline=5, settle=settle), now=at(10))
    (waiting,) = await pending(engine)
    assert (waiting.due_at, waiting.failing_since, waiting.last_error) == (at(300), at(1), "503")
    assert waiting.deadline == (5 if action is Action.DELETE else 60)


async def test_a_held_purge_that_is_put_back_settles_anew(engine: Engine) -> None:
    await asked(engine, wanted(settle=2))
    (purge,) = await Queue(engine).claim("shop", "w", at(2), 8)
    await settled(engine, purge, PurgeState.PENDING, due_at=at(2), last_error="403")
    await asked(engine, wanted(settle=2), now=at(3))
    (waiting,) = await pending(engine)
    assert waiting.due_at == at(5)
    assert waiting.due_at - NOW <= timedelta(seconds=10)


@pytest.mark.parametrize("action", list(Action))
async def test_images_that_change_one_after_the_other_fall_due_together(engine: Engine, action: Action) -> None:
    """Twenty within a tenth of a second are three calls, and none of them comes before it has settled."""
    for number in range(20):
        moment = at(0.101 + number * 0.004)
        (purge,) = await asked(engine, wanted(f"/{number}.jpg", action=action, settle=2), now=moment)
        assert moment + timedelta(seconds=2) <= purge.due_at < moment + timedelta(seconds=2.1)
    assert {purge.due_at for purge in await pending(engine)} == {at(2.2)}


async def test_a_steady_stream_settles_no_longer_than_five_times(engine: Engine) -> None:
    for number in range(60):
        await asked(engine, wanted(settle=1), now=at(0.05 + number * 0.09))
    assert [purge.due_at for purge in await pending(engine)] == [at(0.05 + 5)]
