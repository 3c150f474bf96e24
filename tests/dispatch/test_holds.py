"""Projects that wait, and those beside them that do not."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest
from support.dispatching import (
    DONE,
    DOWN,
    FORBIDDEN,
    INVALID,
    MISSING,
    OTHER_TOKEN,
    TOKEN,
    Bench,
    limited,
    names,
)
from support.virtual_time import START, clock, simulate, until

from service.domain.holds import Hold, HoldKind
from service.domain.outcomes import Outcome
from service.domain.purges import PurgeState
from service.domain.secret import Secret
from service.domain.tokens import StoredToken, TokenScope
from service.settings.model import Dispatch, Project

Logs = list[MutableMapping[str, Any]]


def done(bench: Bench, count: int, project: str | None = None) -> bool:
    return len(bench.queue.in_state(PurgeState.DONE, project)) == count


def store_token(bench: Bench, token: Secret | bytes, project: str = "shop") -> None:
    """What `image-relay tokens set` does, in another process."""
    ciphertext = token if isinstance(token, bytes) else token.encode()
    bench.tokens.stored[TokenScope.PROJECT, project] = StoredToken(
        scope=TokenScope.PROJECT, name=project, ciphertext=ciphertext, fingerprint="", updated_at=clock()
    )


def without_token(**more: Any) -> Bench:
    return Bench(configured={"shop": Project(project="my-shop")}, **more)


def hold(kind: HoldKind, reason: str = "because", credential: str = "", probe_in: float = 300) -> Hold:
    return Hold(
        project="shop",
        kind=kind,
        reason=reason,
        credential=credential,
        since=START,
        probe_at=START + timedelta(seconds=probe_in),
    )


def events(logs: Logs, *names: str) -> list[tuple[str, str]]:
    return [
        (entry["event"], entry["by"] if "by" in entry else entry["reason"]) for entry in logs if entry["event"] in names
    ]


@pytest.mark.parametrize("refusal", [FORBIDDEN, MISSING])
def test_a_held_project_is_probed_every_five_minutes_and_goes_on_when_that_succeeds(
    refusal: Outcome, logs: Logs
) -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda call: refusal if call.at < 500 else DONE
        bench.queue.add("shop", *names(40))
        async with bench.running():
            await asyncio.sleep(299)
            assert {call.at for call in bench.vercel.calls} == {0}
            held = bench.board.held["shop"]
            assert (held.kind, held.reason, held.credential) == (HoldKind.AUTO, refusal.reason, TOKEN.fingerprint())
            assert bench.dispatcher.status().lanes["shop"].held == refusal.reason
            assert {one.last_error for one in bench.queue.purges.values()} == {refusal.reason, None}
            await until(lambda: done(bench, 40))
        probes = [round(call.at, 1) for call in bench.vercel.calls[4:]]
        # One call each time, and after the good one everything at once.
        assert probes[0] == pytest.approx(300, abs=1)
        assert probes[1] == pytest.approx(600, abs=1)
        assert [len(bench.vercel.calls), probes[2] - probes[1]] == [10, pytest.approx(0, abs=0.2)]
        assert "shop" not in bench.board.held

    simulate(main)
    assert events(logs, "project.held", "project.resumed") == [
        ("project.held", refusal.reason),
        ("project.resumed", "a probe succeeded"),
    ]


def test_another_token_is_tried_within_a_second(logs: Logs) -> None:
    async def main() -> None:
        bench = without_token()
        store_token(bench, TOKEN)
        bench.vercel.answer = lambda call: FORBIDDEN if call.token == TOKEN else DONE
        bench.queue.add("shop", *names(3))
        async with bench.running():
            await asyncio.sleep(10.5)
            store_token(bench, OTHER_TOKEN)
            await until(lambda: done(bench, 3))
        assert [call.token for call in bench.vercel.calls] == [TOKEN, OTHER_TOKEN]
        assert 10.5 < bench.vercel.calls[1].at <= 11.5
        assert not bench.board.held

    simulate(main)
    assert events(logs, "project.resumed") == [("project.resumed", "another token")]


def test_the_same_token_stored_again_changes_nothing() -> None:
    async def main() -> None:
        bench = without_token()
        store_token(bench, TOKEN)
        bench.vercel.answer = lambda _: FORBIDDEN
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(10)
            store_token(bench, TOKEN)
            await asyncio.sleep(200)
        assert len(bench.vercel.calls) == 1

    simulate(main)


def test_resume_is_noticed_within_a_second(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda call: FORBIDDEN if call.at < 10 else DONE
        bench.queue.add("shop", *names(3))
        async with bench.running():
            await asyncio.sleep(10.5)
            bench.board.resume("shop")
            await until(lambda: done(bench, 3))
        assert 10.5 < bench.vercel.calls[1].at <= 11.5

    simulate(main)
    assert events(logs, "project.resumed") == [("project.resumed", "an operator")]


def test_a_manual_hold_lasts_until_it_is_taken_away(logs: Logs) -> None:
    async def main() -> None:
        bench = Bench()
        async with bench.running():
            await asyncio.sleep(5)
            await bench.board.hold(hold(HoldKind.MANUAL))
            await asyncio.sleep(1)
            bench.add("shop", *names(3))
            await asyncio.sleep(3600)
            assert bench.vercel.calls == []
            bench.board.resume("shop")
            await until(lambda: done(bench, 3), 2)

    simulate(main)
    assert events(logs, "project.held", "project.resumed") == [
        ("project.held", "because"),
        ("project.resumed", "an operator"),
    ]


def test_a_refusal_does_not_replace_a_manual_hold() -> None:
    async def main() -> None:
        bench = Bench()
        bench.vercel.answer = lambda _: FORBIDDEN
        async with bench.running():
            bench.add("shop", "/a.jpg")
            await until(lambda: bench.vercel.busy == 1)
            await bench.board.hold(hold(HoldKind.MANUAL))
            await asyncio.sleep(3600)
            assert len(bench.vercel.calls) == 1
            assert bench.board.held["shop"].kind is HoldKind.MANUAL
            assert bench.dispatcher.status().lanes["shop"].held == "because"
            assert bench.queue.in_state(PurgeState.PENDING) == ["/a.jpg"]

    simulate(main)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, "no Vercel token: store one with `image-relay tokens set shop`"),
        (b"locked", "no key in vault.keys opens this token"),
    ],
)
def test_a_project_without_a_token_is_held_with_the_remedy(token: bytes | None, reason: str) -> None:
    async def main() -> None:
        bench = without_token()
        if token is not None:
            store_token(bench, token)
        async with bench.running():
            await asyncio.sleep(10)
            assert not bench.board.held, "there is nothing to send yet"
            bench.add("shop", *names(3))
            await asyncio.sleep(3600)
            held = bench.board.held["shop"]
            assert (held.kind, held.reason, held.credential) == (HoldKind.AUTO, reason, "")
            assert bench.vercel.calls == []
            store_token(bench, TOKEN)
            await until(lambda: done(bench, 3), 2)
            assert not bench.board.held

    simulate(main)


def test_a_token_that_is_removed_while_the_project_is_held_is_said(logs: Logs) -> None:
    async def main() -> None:
        bench = without_token()
        store_token(bench, TOKEN)
        bench.vercel.answer = lambda _: FORBIDDEN
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(10)
            bench.tokens.stored.clear()
            await asyncio.sleep(2)
            assert bench.board.held["shop"].credential == ""

    simulate(main)
    assert [reason for _, reason in events(logs, "project.held")] == [
        FORBIDDEN.reason,
        "no Vercel token: store one with `image-relay tokens set shop`",
    ]


def test_a_hold_with_nothing_to_send_ends_with_another_token_but_is_not_probed() -> None:
    async def main() -> None:
        bench = without_token()
        store_token(bench, TOKEN)
        await bench.board.hold(hold(HoldKind.AUTO, credential=TOKEN.fingerprint(), probe_in=0))
        async with bench.running():
            await asyncio.sleep(1000)
            assert "shop" in bench.board.held
            store_token(bench, OTHER_TOKEN)
            await asyncio.sleep(2)
            assert not bench.board.held
            await asyncio.sleep(10)
        assert bench.vercel.calls == []

    simulate(main)


def test_a_hold_outlives_a_restart() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.board.hold(hold(HoldKind.AUTO, credential=TOKEN.fingerprint(), probe_in=120))
        bench.queue.add("shop", *names(20))
        async with bench.running():
            await until(lambda: done(bench, 20))
        assert [call.at >= 120 for call in bench.vercel.calls] == [True] * 3
        assert bench.vercel.calls[0].at < bench.vercel.calls[1].at

    simulate(main)


@pytest.mark.parametrize(("kind", "resumed"), [(HoldKind.MANUAL, True), (HoldKind.AUTO, True), (HoldKind.AUTO, False)])
def test_the_time_on_hold_does_not_make_a_purge_old(kind: HoldKind, resumed: bool) -> None:
    """It had failed for a while before the hold; after it, or while it is probed, it fails once more."""

    async def main() -> None:
        bench = Bench(settings=Dispatch(max_age=3600))
        await bench.board.hold(hold(kind, credential=TOKEN.fingerprint(), probe_in=10))
        bench.vercel.answer = lambda call: DOWN if call.at < 60 else DONE
        bench.queue.add("shop", *names(3), attempts=5, failing_since=START - timedelta(hours=2))
        async with bench.running():
            await asyncio.sleep(5)
            if resumed:
                bench.board.resume("shop")
            await until(lambda: done(bench, 3), 500)
        assert bench.vercel.calls[0].at < 60

    simulate(main)


def test_a_probe_that_fails_for_the_time_being_is_followed_by_others_in_peace() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.board.hold(hold(HoldKind.AUTO, credential=TOKEN.fingerprint(), probe_in=10))
        bench.vercel.answer = lambda call: DOWN if call.at < 600 else DONE
        bench.queue.add("shop", *names(40))
        async with bench.running():
            await asyncio.sleep(600)
            assert "shop" in bench.board.held
            assert bench.vercel.busiest == 1
            assert len(bench.vercel.calls) < 40
            await until(lambda: done(bench, 40))

    simulate(main)


def test_a_probe_with_a_bad_image_in_it_shows_that_the_trouble_is_over() -> None:
    async def main() -> None:
        bench = Bench()
        await bench.board.hold(hold(HoldKind.AUTO, credential=TOKEN.fingerprint(), probe_in=10))
        bench.vercel.answer = lambda call: INVALID if "/bad" in call.images else DONE
        bench.queue.add("shop", "/bad", *names(9))
        async with bench.running():
            await until(lambda: done(bench, 9), 20)
        assert bench.queue.in_state(PurgeState.DEAD) == ["/bad"]
        assert not bench.board.held

    simulate(main)


@pytest.mark.parametrize("trouble", [FORBIDDEN, MISSING, DOWN])
def test_a_project_in_trouble_delays_no_other(trouble: Outcome) -> None:
    async def main() -> None:
        bench = Bench("shop", "blog")
        bench.vercel.answer = lambda call: trouble if call.project == "shop" else DONE
        bench.queue.add("shop", *names(200))
        async with bench.running():
            for number in range(50):
                bench.add("blog", f"/{number}.jpg")
                added = clock()
                await until(lambda number=number: done(bench, number + 1, "blog"), 1)  # type: ignore[misc]  # mypy cannot type a lambda's default
                assert clock() - added < timedelta(seconds=0.1)
        assert len(bench.queue.in_state(PurgeState.PENDING, "shop")) == 200

    simulate(main)


def test_projects_whose_calls_hang_delay_no_other() -> None:
    async def main() -> None:
        bench = Bench("blog", "one", "two", "three", "four", "five", concurrency=8, settings=Dispatch(concurrency=16))
        slow = asyncio.Event()

        class Hanging:
            async def purge(self, batch: Any, token: Secret) -> Outcome:
                if batch.project != "blog":
                    await slow.wait()
                return await bench.vercel.purge(batch, token)

        busy = Bench(*bench.projects, concurrency=8, caller=Hanging())
        for project in ("one", "two", "three", "four", "five"):
            busy.queue.add(project, *names(200))
        async with busy.running():
            for number in range(20):
                busy.add("blog", *names(100, f"{number}/"))
                await until(lambda number=number: done(busy, 100 * (number + 1), "blog"), 2)  # type: ignore[misc]  # mypy cannot type a lambda's default
            slow.set()
            await until(lambda: done(busy, 3000))

    simulate(main)


def test_a_used_up_budget_is_the_tokens_not_the_projects() -> None:
    async def main() -> None:
        bench = Bench(
            configured={
                "shop": Project(project="p1", token=TOKEN),
                "docs": Project(project="p2", token=TOKEN),
                "blog": Project(project="p3", token=OTHER_TOKEN),
            }
        )
        until_then = START + timedelta(seconds=100)
        bench.vercel.answer = lambda call: limited(until_then) if call.at < 1 and call.token == TOKEN else DONE
        bench.queue.add("shop", "/a.jpg")
        async with bench.running():
            await asyncio.sleep(1)
            bench.add("docs", *names(64))
            bench.add("blog", *names(64))
            await until(lambda: done(bench, 64, "blog"), 5)
            assert bench.board.blocked == {TOKEN.fingerprint(): until_then}
            assert bench.vercel.of("docs") == []
            await until(lambda: done(bench, 129))
        assert min(call.at for call in (*bench.vercel.of("docs"), *bench.vercel.of("shop")[1:])) >= 100

    simulate(main)


def test_another_process_may_have_used_up_the_budget() -> None:
    async def main() -> None:
        bench = Bench()
        bench.board.blocked[TOKEN.fingerprint()] = START + timedelta(seconds=50)
        bench.queue.add("shop", *names(32))
        async with bench.running():
            await until(lambda: done(bench, 32), 60)
        assert [call.at >= 50 for call in bench.vercel.calls] == [True] * 4
        assert bench.vercel.calls[0].at < bench.vercel.calls[1].at

    simulate(main)


def test_another_token_has_a_budget_of_its_own() -> None:
    async def main() -> None:
        bench = without_token()
        store_token(bench, TOKEN)
        bench.vercel.answer = lambda call: limited(START + timedelta(days=7)) if call.token == TOKEN else DONE
        async with bench.running():
            bench.add("shop", "/a.jpg")
            await asyncio.sleep(10)
            bench.add("shop", "/b.jpg")
            await asyncio.sleep(10)
            assert len(bench.vercel.calls) == 1
            store_token(bench, OTHER_TOKEN)
            await until(lambda: done(bench, 1), 2)
        assert bench.queue.in_state(PurgeState.DONE) == ["/b.jpg"]

    simulate(main)
