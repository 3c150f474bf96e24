"""The dispatcher with the real client on the fake Vercel, answer by answer, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import httpx
import pytest
from support.dispatching import TOKEN, Bench, names
from support.virtual_time import START, clock, simulate, until

from service.domain.purges import PurgeState
from service.settings.model import Project
from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel
from service.vercel.caller import VercelCaller
from service.vercel.client import VercelClient

EPOCH_START = int(START.timestamp())
PROJECTS = {name: Project(project=f"my-{name}", token=TOKEN) for name in ("shop", "blog")}

Story = Callable[[Bench, FakeVercel], Coroutine[Any, Any, None]]


def play(story: Story) -> FakeVercel:
    """Runs a story with a dispatcher at work; the fake that was called."""

    async def main() -> FakeVercel:
        fake = FakeVercel(tokens=[TOKEN.reveal()], projects=["my-shop", "my-blog"], now=clock)
        transport = httpx.ASGITransport(create_fake_vercel(fake))
        async with VercelClient.open(read_seconds=5, transport=transport) as client:
            caller = VercelCaller(client, "http://vercel.example", PROJECTS, clock)
            bench = Bench(configured=PROJECTS, caller=caller)
            async with bench.running():
                await story(bench, fake)
        return fake

    return simulate(main)


def at(fake: FakeVercel) -> list[float]:
    """When each call came, in seconds since the start."""
    from service.domain.clock import parse_moment

    return [(parse_moment(call["at"]) - START) / timedelta(seconds=1) for call in fake.calls]


def done(bench: Bench, count: int) -> bool:
    return len(bench.queue.in_state(PurgeState.DONE)) == count


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Answer(status=408), 0),
        (Answer(status=425), 0),
        (Answer(status=500), 0),
        (Answer(status=503), 0),
        (Answer(status=503, retry_after="40"), 40),
        (Answer(status=503, retry_after_date=EPOCH_START + 40), 40),
        (Answer(status="reset"), 0),
        (Answer(status="hang"), 20),
        (Answer(status=429, body="too_many_requests"), 0),
        (Answer(status=429, body="too_many_requests", retry_after="40"), 40),
        (Answer(status=429, body="too_many_requests", retry_after_date=EPOCH_START + 40), 40),
        (Answer(status=429, body="too_many_requests", reset=EPOCH_START + 40), 40),
        (Answer(status=429, body="rate_limited", reset=EPOCH_START + 40), 40),
        (Answer(status=429, body="rate_limited", reset=EPOCH_START + 40, retry_after="50"), 50),
        (Answer(status=429, body="rate_limited"), 1),
    ],
)
def test_what_passes_is_tried_again_in_time(answer: Answer, wait: float) -> None:
    async def story(bench: Bench, fake: FakeVercel) -> None:
        fake.script(answer)
        bench.add("shop", *names(3))
        await until(lambda: done(bench, 3), 60)

    calls = at(play(story))
    assert len(calls) == 2
    assert wait <= calls[1] <= wait + 3


@pytest.mark.parametrize("status", [401, 402, 403, 404, 410, 301, 307, 418])
def test_what_does_not_pass_holds_the_project_and_no_other(status: int) -> None:
    async def story(bench: Bench, fake: FakeVercel) -> None:
        fake.script(Answer(status=status, project="my-shop"))
        bench.add("shop", *names(3))
        bench.add("blog", *names(3))
        await until(lambda: done(bench, 3), 1)
        assert bench.board.held["shop"].reason.startswith(str(status))
        assert TOKEN.reveal() not in bench.board.held["shop"].reason
        # The probe after five minutes succeeds.
        await until(lambda: done(bench, 6), 302)
        assert bench.board.held == {}

    assert len(play(story).calls) == 3


@pytest.mark.parametrize("status", [200, 202, 204])
def test_every_success_is_one(status: int) -> None:
    async def story(bench: Bench, fake: FakeVercel) -> None:
        fake.script(Answer(status=status))
        bench.add("shop", *names(3))
        await until(lambda: done(bench, 3), 1)
        warnings = {one.last_error for one in bench.queue.purges.values()}
        assert [warning is None for warning in warnings] == [status == 200]

    assert len(play(story).calls) == 1


def test_an_image_vercel_refuses_is_found_and_the_others_go_through() -> None:
    async def story(bench: Bench, fake: FakeVercel) -> None:
        fake.script(Answer(status=400, match="/3.jpg", message="bad image", times=None))
        bench.add("shop", *names(8))
        await until(lambda: done(bench, 7), 1)
        assert bench.queue.in_state(PurgeState.DEAD) == [names(8)[3]]
        (dead,) = [one for one in bench.queue.purges.values() if one.state is PurgeState.DEAD]
        assert dead.last_error == "400 Bad Request: bad image"

    assert len(play(story).calls) == 7


def test_a_limited_token_is_left_alone_by_every_project() -> None:
    async def story(bench: Bench, fake: FakeVercel) -> None:
        fake.script(Answer(status=429, retry_after="40"))
        bench.add("shop", "/a.jpg")
        await until(lambda: bool(bench.board.blocked), 1)
        bench.add("blog", *names(32))
        await until(lambda: done(bench, 33), 60)

    calls = at(play(story))
    assert [moment >= 40 for moment in calls] == [False, *[True] * (len(calls) - 1)]
