"""Whatever happens in whatever order: no image is lost, and none waits twice."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.stored import asked, at, claimed, settled, wanted

from service.domain.purges import Action, Purge, PurgeState
from service.store import open_store
from service.store.purges import Purges
from service.store.queue import Queue

T = TypeVar("T")

IMAGES = st.sampled_from(["/a.png", "/a.png", "/b.png"])
PENDING, CLAIMED = PurgeState.PENDING, PurgeState.CLAIMED


@dataclass(frozen=True)
class Owed:
    """What an event asked for at this step, and no call has done since."""

    step: int
    image: str
    action: Action
    deadline: int

    def done_by(self, purge: Purge) -> bool:
        """Whether a call for this purge, if it began after the event, is what was asked for."""
        if purge.src_image != self.image:
            return False
        return self.action is Action.INVALIDATE or (purge.action is self.action and purge.deadline <= self.deadline)


class Webhooks(RuleBasedStateMachine):
    """Events, calls and crashes on two images; the model only remembers what is still owed to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.engine = self.run(open_store(self.url))
        self.step = 0
        self.seconds = 0.0
        self.owed: list[Owed] = []
        self.in_call: dict[str, tuple[Purge, int]] = {}  # by id: with the step at which it was claimed

    @property
    def url(self) -> str:
        return f"sqlite:///{Path(self.folder.name) / 'relay.db'}"

    @property
    def now(self) -> datetime:
        return at(self.seconds)

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        """Once Vercel answers everything, nothing is owed to anybody, and no call was made for nothing."""
        try:
            self.crash(reopen=False)
            self.seconds += 1_000_000
            for _ in range(len(self.owed) + 10):
                if not self.run(self._claim(8)):
                    break
                for purge, _ in list(self.in_call.values()):
                    self._end(purge, PurgeState.DONE)
            assert self.owed == []
            assert self.run(Queue(self.engine).projects()) == []
        finally:
            self.run(self.engine.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self.folder.cleanup()

    # -- what happens

    @rule(
        image=IMAGES,
        action=st.sampled_from(list(Action)),
        deadline=st.sampled_from([0, 60]),
        settle=st.sampled_from([0, 0, 2]),
        called=st.booleans(),
    )
    def event(self, image: str, action: Action, deadline: int, settle: int, called: bool) -> None:
        """`called`: the dispatcher is quick."""
        self.step += 1
        deadline = deadline if action is Action.DELETE else 0
        self.run(asked(self.engine, wanted(image, action, deadline=deadline, settle=settle), now=self.now))
        self.owed.append(Owed(self.step, image, action, deadline))
        if called:
            self.claim(2, settle)

    @precondition(lambda self: self.owed)
    @rule(limit=st.integers(1, 2), patience=st.sampled_from([0, 3, 400]))
    def claim(self, limit: int, patience: float) -> None:
        self.seconds += patience
        self.run(self._claim(limit))

    async def _claim(self, limit: int) -> list[Purge]:
        self.step += 1
        taken = await claimed(self.engine, self.now, limit)
        busy = {purge.src_image for purge, _ in self.in_call.values()}
        assert not busy & {purge.src_image for purge in taken}, "an image is in two calls at once"
        assert len({(purge.action, purge.deadline) for purge in taken}) <= 1
        assert all(purge.due_at <= self.now for purge in taken)
        self.in_call |= {purge.id: (purge, self.step) for purge in taken}
        return taken

    @precondition(lambda self: self.in_call)
    @rule(data=st.data(), state=st.sampled_from([PurgeState.DONE, PurgeState.DEAD]))
    def call_ends(self, data: st.DataObject, state: PurgeState) -> None:
        self._end(self._drawn(data), state)

    def _end(self, purge: Purge, state: PurgeState) -> None:
        _, since = self.in_call.pop(purge.id)
        self.run(settled(self.engine, purge, state, self.now))
        self._satisfied(purge, since)

    @precondition(lambda self: self.in_call)
    @rule(data=st.data(), failing=st.booleans(), wait=st.sampled_from([0, 1, 300]))
    def call_is_tried_again(self, data: st.DataObject, failing: bool, wait: int) -> None:
        purge = self._drawn(data)
        del self.in_call[purge.id]
        since = self.now if failing else None
        self.run(settled(self.engine, purge, PENDING, self.now, due_at=at(self.seconds + wait), failing_since=since))

    @precondition(lambda self: self.in_call)
    @rule(data=st.data())
    def call_is_not_made(self, data: st.DataObject) -> None:
        purge = self._drawn(data)
        del self.in_call[purge.id]
        self.run(Queue(self.engine).release([purge]))

    @rule(reopen=st.booleans())
    def crash(self, reopen: bool) -> None:
        """What was in a call is taken up again by the next process."""
        if reopen:
            self.run(self.engine.close())
            self.engine = self.run(open_store(self.url))
        assert self.run(Queue(self.engine).recover("shop")) == len(self.in_call)
        self.in_call.clear()

    @rule(image=IMAGES)
    def operator_drops_what_waits(self, image: str) -> None:
        self.step += 1
        for purge in self._now(PENDING):
            if purge.src_image == image:
                self.run(Purges(self.engine).drop(purge.id, self.now))
                self._satisfied(purge, self.step)

    @rule()
    def operator_retries_the_dead(self) -> None:
        self.run(Purges(self.engine).retry_dead("shop", self.now))
        assert self._now(PurgeState.DEAD) == []

    def _drawn(self, data: st.DataObject) -> Purge:
        purge, _ = self.in_call[data.draw(st.sampled_from(sorted(self.in_call)))]
        return purge

    def _satisfied(self, purge: Purge, since: int) -> None:
        """All that was asked for before the call began, and that the call does."""
        self.owed = [one for one in self.owed if one.step > since or not one.done_by(purge)]

    # -- what always holds

    @invariant()
    def nothing_is_lost_and_nothing_waits_twice(self) -> None:
        everything = self.run(Purges(self.engine).list(limit=1000))
        waiting = [purge for purge in everything if purge.state is PENDING]
        assert len(waiting) == len({purge.src_image for purge in waiting})
        assert {purge.id for purge in everything if purge.state is CLAIMED} == set(self.in_call)
        for one in self.owed:
            called = [purge for purge, since in self.in_call.values() if since > one.step]
            assert any(one.done_by(purge) for purge in (*waiting, *called)), f"{one} was lost"

    def _now(self, state: PurgeState) -> list[Purge]:
        return list(self.run(Purges(self.engine).list(state=state, limit=1000)))


TestWebhooks = Webhooks.TestCase
TestWebhooks.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
