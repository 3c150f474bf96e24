"""URLs are looked up: answers of every kind, the API or the store away for a while, and the end of the process."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from support.dispatching import Bench
from support.memory_lookups import PlainAsking, PlainResolver, failed, found
from support.virtual_time import START, simulate, until

from service.domain.lookups import Fetched, LookupState
from service.settings.model import Dispatch

Logs = list[MutableMapping[str, Any]]

SOURCES = {"cms": PlainAsking(PlainResolver()), "plain": PlainAsking(None)}


def bench(**more: Any) -> Bench:
    return Bench(looking_up=more.pop("looking_up", SOURCES), **more)


def all_in(one: Bench, state: LookupState) -> bool:
    return set(one.lookups.states()) == {str(state)}


def of(logs: Logs, name: str) -> list[MutableMapping[str, Any]]:
    return [entry for entry in logs if entry["event"] == name]


def test_what_is_found_is_planned_and_sent_at_once(logs: Logs) -> None:
    async def main() -> None:
        one = bench()
        async with one.running():
            one.look_up("cms", "a", "b")
            await until(lambda: all_in(one, LookupState.DONE), 1)
        assert [url for _, url in one.api.calls] == ["https://api.example/a?secret", "https://api.example/b?secret"]
        assert one.api.headers[0]["authorization"].reveal() == "fake-token"
        assert [end.urls for end in one.lookups.ends.values()] == [("https://img.example.com/a.jpg",)] * 2

    simulate(main)
    assert [(entry["outcome"], entry["purges"]) for entry in of(logs, "lookup.done")] == [("found", 1)] * 2


def test_many_events_take_several_steps() -> None:
    async def main() -> None:
        one = bench()
        one.lookups.steps = 3
        async with one.running():
            one.look_up("cms", "a")
            await until(lambda: all_in(one, LookupState.DONE), 1)
        assert len(one.api.calls) == 1

    simulate(main)


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (failed(404, "404 Not Found"), LookupState.MISSING, "404 Not Found"),
        (failed(410, "410 Gone"), LookupState.MISSING, "410 Gone"),
        (found(""), LookupState.MISSING, "the answer has no image URL"),
        (failed(400, "400 Bad Request"), LookupState.DEAD, "400 Bad Request"),
        (
            failed(302, "302 Found"),
            LookupState.DEAD,
            "302 Found; redirects are never followed, the secrets would go along",
        ),
        (
            Fetched(status=200, reason="200 OK", too_large=True),
            LookupState.DEAD,
            "the answer is larger than is read",
        ),
    ],
)
def test_an_end_without_urls(answer: Fetched, state: LookupState, reason: str) -> None:
    async def main() -> None:
        one = bench()
        one.api.answer = lambda _, __: answer
        async with one.running():
            (lookup,) = one.look_up("cms", "a")
            await until(lambda: all_in(one, state), 1)
            await asyncio.sleep(600)
        assert one.lookups.rows[lookup].last_error == reason
        assert len(one.api.calls) == 1

    simulate(main)


@pytest.mark.parametrize(
    "trouble", [failed(None, "no answer"), failed(503), failed(429), failed(408), found("garbage"), found("bug")]
)
def test_what_fails_for_a_while_is_tried_again_and_slowly(trouble: Fetched) -> None:
    async def main() -> None:
        one = bench()
        one.api.answer = lambda at, _: trouble if at < 1200 else found()
        async with one.running():
            one.look_up("cms", *(f"{number}" for number in range(50)))
            await until(lambda: all_in(one, LookupState.DONE), 2400)
        failures = sum(at < 1200 for at, _ in one.api.calls)
        assert failures <= 80  # on average one in half a minute, whatever waits
        assert len(one.api.calls) == failures + 50

    simulate(main)


def test_a_request_that_fails_inside_the_relay_is_tried_again(logs: Logs) -> None:
    async def main() -> None:
        one = bench()
        one.api.answer = lambda at, _: ZeroDivisionError("a bug") if at < 2 else found()
        async with one.running():
            one.look_up("cms", "a")
            await until(lambda: all_in(one, LookupState.DONE), 120)

    simulate(main)
    assert of(logs, "lookup.call_failed")
    assert of(logs, "lookup.failed")[0]["reason"] == "the request failed inside the relay: ZeroDivisionError"


def test_retry_after_holds_back_every_source_of_the_host() -> None:
    async def main() -> None:
        one = bench(looking_up={name: PlainAsking(PlainResolver()) for name in ("cms", "other")})
        one.api.answer = lambda at, _: failed(429, retry_at=START + timedelta(seconds=90)) if at < 90 else found()
        async with one.running():
            one.look_up("cms", "a")
            await asyncio.sleep(1)
            one.look_up("other", "b")
            await until(lambda: all_in(one, LookupState.DONE), 600)
        assert [at < 90 for at, _ in one.api.calls] == [True, False, False]

    simulate(main)


def test_still_failing_after_max_age_is_dead() -> None:
    async def main() -> None:
        one = bench(settings=Dispatch(max_age=3600))
        one.api.answer = lambda _, __: failed(503, "503 Service Unavailable")
        async with one.running():
            (lookup,) = one.look_up("cms", "a")
            await until(lambda: all_in(one, LookupState.DEAD), 2 * 3600)
        assert one.lookups.rows[lookup].last_error == "still failing after 1 h: 503 Service Unavailable"

    simulate(main)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_refused_secrets_are_probed_and_never_end_anything(status: int, logs: Logs) -> None:
    async def main() -> None:
        one = bench(settings=Dispatch(max_age=60, probe_every=300))
        one.api.answer = lambda at, _: failed(status, f"{status} no") if at < 3000 else found()
        async with one.running():
            one.look_up("cms", "a", "b", "c")
            await asyncio.sleep(2900)
            assert 9 <= len(one.api.calls) <= 11
            assert all_in(one, LookupState.PENDING)
            await until(lambda: all_in(one, LookupState.DONE), 600)

    simulate(main)
    assert [entry["reason"] for entry in of(logs, "lookup.held")] == [f"{status} no"]
    assert len(of(logs, "lookup.resumed")) == 1


def test_one_source_in_trouble_delays_no_other() -> None:
    async def main() -> None:
        sources = {"held": PlainAsking(PlainResolver()), "well": PlainAsking(PlainResolver())}
        one = bench(looking_up=sources)
        one.api.answer = lambda _, url: failed(401) if "bad" in url else found()
        async with one.running():
            one.look_up("held", "bad")
            one.look_up("well", *(f"{number}" for number in range(20)))
            await until(lambda: one.lookups.states().count("done") == 20, 5)

    simulate(main)


def test_the_answer_says_where_to_ask_instead() -> None:
    async def main() -> None:
        one = bench()
        one.api.answer = lambda _, url: (
            Fetched(status=410, reason="410 Gone", body=b"?https://api.example/newer")
            if "example/a?" in url
            else found()
        )
        async with one.running():
            one.look_up("cms", "a")
            await until(lambda: all_in(one, LookupState.DONE), 1)
        assert [url for _, url in one.api.calls] == ["https://api.example/a?secret", "https://api.example/newer?secret"]

    simulate(main)


def test_answers_that_send_elsewhere_for_ever_are_asked_slowly() -> None:
    async def main() -> None:
        one = bench()
        one.api.answer = lambda at, _: Fetched(status=410, reason="", body=f"?https://api.example/{at}".encode())
        async with one.running():
            one.look_up("cms", "a")
            await asyncio.sleep(3600)
        assert len(one.api.calls) <= 60

    simulate(main)


def test_secrets_go_to_no_host_but_the_present_one() -> None:
    async def main() -> None:
        one = bench()
        one.lookups.add("cms", "a", host="https://elsewhere.example")
        async with one.running():
            await until(lambda: all_in(one, LookupState.DEAD), 5)
        assert one.api.calls == []
        assert "names another host" in str(one.lookups.rows["lkp_000000"].last_error)

    simulate(main)


def test_one_address_of_many_assets_is_asked_once_but_for_what_changed_since() -> None:
    async def main() -> None:
        one = bench()
        one.api.seconds = 0.5
        for _ in range(5):
            one.lookups.add("cms", "list")
        await asyncio.sleep(0.1)  # they came before the first request is made
        async with one.running():
            await until(lambda: one.lookups.states().count("done") == 5, 2)
            assert len(one.api.calls) == 1
            one.look_up("cms", "list")
            await until(lambda: one.lookups.states().count("done") == 6, 2)
            assert len(one.api.calls) == 2

    simulate(main)


def test_what_another_process_stored_is_noticed_within_a_second() -> None:
    async def main() -> None:
        one = bench()
        async with one.running():
            await asyncio.sleep(10)
            one.lookups.add("cms", "a")
            one.dispatcher.wake_lookups("unheard of")
            await until(lambda: all_in(one, LookupState.DONE), 1.5)

    simulate(main)


@pytest.mark.parametrize("broken", [("next_due_at", "sources"), ("claim",), ("settle",), ("resolve",)])
def test_a_store_that_is_away_for_a_while_loses_nothing(broken: tuple[str, ...]) -> None:
    async def main() -> None:
        one = bench()
        one.api.answer = lambda at, _: failed(503) if at < 1 else found()
        one.lookups.fail(*broken)
        async with one.running():
            one.look_up("cms", "a", "b")
            await asyncio.sleep(300)
            assert one.dispatcher.alive()
            one.lookups.heal()
            await until(lambda: all_in(one, LookupState.DONE), 120)

    simulate(main)


def test_what_somebody_else_ended_in_between_is_left_alone() -> None:
    async def main() -> None:
        one = bench()
        one.lookups.vanishing = True
        async with one.running():
            one.look_up("cms", "a")
            await asyncio.sleep(60)
        assert one.api.calls == []

    simulate(main)


def test_a_bug_ends_no_lane(logs: Logs) -> None:
    async def main() -> None:
        one = bench()
        one.lookups.fail("next_due_at", error=ZeroDivisionError("a bug"))
        async with one.running():
            one.look_up("cms", "a")
            await asyncio.sleep(30)
            one.lookups.heal()
            await until(lambda: all_in(one, LookupState.DONE), 5)

    simulate(main)
    assert of(logs, "lookup.lane_crashed")


def test_what_was_under_way_is_taken_up_at_the_next_start() -> None:
    async def main() -> None:
        one = bench()
        one.api.seconds = 3600
        async with one.running():
            one.look_up("cms", "a")
            await until(lambda: len(one.api.calls) == 1, 1)
        assert all_in(one, LookupState.CLAIMED)
        later = bench()
        later.lookups.rows = one.lookups.rows
        async with later.running():
            await until(lambda: all_in(one, LookupState.DONE), 5)

    simulate(main)


def test_a_lookup_under_way_ends_before_the_relay_does() -> None:
    async def main() -> None:
        one = bench()
        one.api.seconds = 2
        async with one.running():
            one.look_up("cms", "a", "b")
            await until(lambda: len(one.api.calls) == 1, 1)
            await one.dispatcher.stop(8)
        assert sorted(one.lookups.states()) == ["done", "pending"]

    simulate(main)


def test_a_store_that_fails_while_the_relay_stops_leaves_it_to_the_next_start() -> None:
    async def main() -> None:
        one = bench()
        one.api.seconds = 1
        async with one.running():
            one.look_up("cms", "a")
            await until(lambda: len(one.api.calls) == 1, 1)
            one.lookups.fail("resolve")
            await one.dispatcher.stop(8)
        assert all_in(one, LookupState.CLAIMED)

    simulate(main)


def test_lookups_of_a_source_that_asks_no_more_wait_and_end(logs: Logs) -> None:
    async def main() -> None:
        one = bench(settings=Dispatch(max_age=3600))
        one.lookups.add("plain", "a")
        async with one.running():
            await asyncio.sleep(3000)
            assert all_in(one, LookupState.PENDING)
            await until(lambda: all_in(one, LookupState.DEAD), 3600)
        assert one.api.calls == []

    simulate(main)
    assert len(of(logs, "lookup.unknown_source")) == 1
    assert len(of(logs, "lookup.buried")) == 1
