"""The dispatcher on SQLite and on the fake Vercel, in real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet

from service.dispatch.credentials import Credentials
from service.dispatch.supervisor import Dispatcher
from service.domain.clock import system_clock
from service.domain.holds import Hold, HoldKind
from service.domain.purges import Action, PlannedPurge, Purge, PurgeState
from service.domain.secret import Secret
from service.domain.tokens import StoredToken, TokenScope
from service.observability.tally import Tally
from service.settings.model import Dispatch, Project
from service.store import open_store
from service.store.board import Board
from service.store.engine import Engine
from service.store.purges import Purges
from service.store.queue import Queue
from service.store.queueing import queue_purges
from service.store.tokens import Tokens
from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel
from service.vault import Vault
from service.vercel.caller import VercelCaller
from service.vercel.client import VercelClient

TOKEN = Secret("vcp_fakefakefake0123456789")
VAULT = Vault([Secret(Fernet.generate_key().decode())])
PROJECTS = {"shop": Project(project="my-shop", token=TOKEN), "blog": Project(project="my-blog")}
SECONDS = 20.0  # that anything may take on a busy machine


class Relay:
    """A store, and dispatchers on it one after the other."""

    def __init__(self, engine: Engine, fake: FakeVercel, client: VercelClient) -> None:
        self.engine = engine
        self.fake = fake
        self.board = Board(engine)
        self._client = client

    async def add(self, *images: str, project: str = "shop", tell: Dispatcher | None = None) -> None:
        now = system_clock()
        for image in images:
            planned = PlannedPurge(
                project=project, action=Action.DELETE, src_image=image, deadline=60, settle=0, rule="r", template="t"
            )
            await self.engine.write(lambda tx, planned=planned: queue_purges(tx, [(planned, now)]))  # type: ignore[misc]  # mypy cannot type a lambda's default
        if tell is not None:
            tell.wake({project: now})

    async def all(self) -> list[Purge]:
        return sorted(await Purges(self.engine).list(limit=1000), key=lambda purge: (purge.src_image, purge.id))

    async def until_states(self, *states: str, project: str | None = None) -> None:
        async def reached() -> bool:
            return [str(one.state) for one in await self.all() if project in (None, one.project)] == list(states)

        await until(reached)

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[Dispatcher]:
        dispatcher = Dispatcher(
            meter=Tally(),
            queue=Queue(self.engine),
            board=self.board,
            credentials=Credentials(PROJECTS, Tokens(self.engine), VAULT, system_clock),
            caller=VercelCaller(self._client, "http://vercel.example", PROJECTS, system_clock),
            clock=system_clock,
            random=lambda: 0.01,
            settings=Dispatch(),
            projects=PROJECTS,
            lanes=self.engine.lanes("test:1", 30),
            worker="test:1",
        )
        task = asyncio.create_task(dispatcher.run())
        try:
            yield dispatcher
        finally:
            await dispatcher.stop(0)
            await asyncio.gather(task, return_exceptions=True)


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await reached():
            await asyncio.sleep(0.01)


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    fake = FakeVercel()
    async with AsyncExitStack() as stack:
        engine = await open_store(f"sqlite:///{tmp_path}/relay.db")
        stack.push_async_callback(engine.close)
        transport = httpx.ASGITransport(create_fake_vercel(fake))
        client = await stack.enter_async_context(VercelClient.open(read_seconds=5, transport=transport))
        yield Relay(engine, fake, client)


def sizes(fake: FakeVercel) -> list[int]:
    return sorted(len(call["body"]["srcImages"]) for call in fake.calls)


async def test_twenty_images_are_three_calls_and_every_attempt_is_on_record(relay: Relay) -> None:
    await relay.add(*(f"/{number}.jpg" for number in range(20)))
    async with relay.dispatching():
        await relay.until_states(*["done"] * 20)
    assert sizes(relay.fake) == [4, 8, 8]
    recorded = []
    for purge in await relay.all():
        story = await Purges(relay.engine).get(purge.id)
        assert story is not None
        recorded += [(one.status, one.outcome, one.images) for one in story.attempts]
    # Which images share a call is chance where they came in the same millisecond.
    assert sorted(recorded) == [(200, "done", 4)] * 4 + [(200, "done", 8)] * 16


async def test_a_culprit_is_found(relay: Relay) -> None:
    relay.fake.script(Answer(status=400, match="/3.jpg", message="bad image", times=None))
    await relay.add(*(f"/{number}.jpg" for number in range(8)))
    async with relay.dispatching():
        await relay.until_states(*["done"] * 3, "dead", *["done"] * 4)
    story = await Purges(relay.engine).get((await relay.all())[3].id)
    assert story is not None
    assert [(one.outcome, one.images) for one in story.attempts] == [
        ("split", 8),
        ("split", 4),
        ("split", 2),
        ("invalid", 1),
    ]
    assert story.purge.last_error == "400 Bad Request: bad image"


async def test_a_failure_is_tried_again_and_an_event_during_a_call_is_another_call(relay: Relay) -> None:
    relay.fake.script(Answer(status=503), Answer(status=200, seconds=0.2))
    await relay.add("/a.jpg")
    async with relay.dispatching() as dispatcher:

        async def in_the_second_call() -> bool:
            return len(relay.fake.calls) == 2

        await until(in_the_second_call)
        await relay.add("/a.jpg", tell=dispatcher)
        await relay.until_states("done", "done")
    assert [call["status"] for call in relay.fake.calls] == [503, 200, 200]


async def test_a_call_cut_short_is_made_again_at_the_next_start(relay: Relay) -> None:
    relay.fake.script(Answer(status="hang"))
    await relay.add("/a.jpg")
    async with relay.dispatching():

        async def called() -> bool:
            return len(relay.fake.calls) == 1

        await until(called)
    assert [one.state for one in await relay.all()] == [PurgeState.CLAIMED]
    async with relay.dispatching():
        await relay.until_states("done")
    assert len(relay.fake.calls) == 2


async def test_a_project_without_a_token_waits_for_one_and_no_other_waits_with_it(relay: Relay) -> None:
    await relay.add("/a.jpg", project="blog")
    await relay.add("/a.jpg")
    async with relay.dispatching():
        await relay.until_states("done", project="shop")

        async def held() -> bool:
            return "blog" in await relay.board.holds()

        await until(held)
        assert (await relay.board.holds())[
            "blog"
        ].reason == "no Vercel token: store one with `image-relay tokens set blog`"
        token = StoredToken(
            scope=TokenScope.PROJECT,
            name="blog",
            ciphertext=VAULT.encrypt(TOKEN),
            fingerprint=TOKEN.fingerprint(),
            updated_at=system_clock(),
        )
        await Tokens(relay.engine).put(token)
        await relay.until_states("done", project="blog")
        assert await relay.board.holds() == {}


async def test_a_project_held_by_an_operator_waits_for_resume(relay: Relay) -> None:
    now = system_clock()
    await relay.board.hold(
        Hold(project="shop", kind=HoldKind.MANUAL, reason="maintenance", credential="", since=now, probe_at=now)
    )
    await relay.add("/a.jpg")
    async with relay.dispatching() as dispatcher:

        async def held() -> bool:
            lane = dispatcher.status().lanes.get("shop")
            return lane is not None and lane.held == "maintenance"

        await until(held)
        assert relay.fake.calls == []
        assert await relay.board.resume("shop")
        await relay.until_states("done")


async def test_a_refusal_and_a_used_up_budget_are_on_the_board(relay: Relay) -> None:
    relay.fake.script(Answer(status=403), Answer(status=429, retry_after="600"))
    await relay.add("/a.jpg")
    async with relay.dispatching() as dispatcher:

        async def held() -> bool:
            return "shop" in await relay.board.holds()

        await until(held)
        assert (await relay.board.holds())["shop"].credential == TOKEN.fingerprint()
        assert await relay.board.resume("shop")

        async def blocked() -> bool:
            return TOKEN.fingerprint() in await relay.board.quotas(system_clock())

        await until(blocked)
        await relay.add("/b.jpg", tell=dispatcher)
        await relay.until_states("pending", "pending")
    assert len(relay.fake.calls) == 2
