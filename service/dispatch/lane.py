"""One project's loop: what is due and may be sent is claimed, call by call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from service.dispatch.delivery import Delivery
from service.dispatch.gate import Gate, Pass, Wait
from service.dispatch.limits import STORE_PAUSE, Random, backoff
from service.dispatch.ports import Queue
from service.dispatch.slots import Slots
from service.dispatch.tenure import Tenure
from service.dispatch.waiting import pause
from service.domain.batches import MAX_IMAGES, Batch
from service.domain.clock import EPOCH, Clock
from service.domain.errors import StoreUnavailable
from service.domain.log import log
from service.domain.purges import Purge

_RESTART = timedelta(seconds=1)
_NEVER = datetime.max.replace(tzinfo=UTC)


class LaneStatus(Struct, frozen=True):
    """What one project's lane is doing. `held` is the reason of a hold; `failures` are calls in a row."""

    calls: int
    failures: int
    not_before: datetime
    held: str | None


class Lane:
    """Claims and sends one project's purges; sleeps until the next one is due, or until woken. No call is begun that
    might last longer than the tenure: `call_seconds` is the longest."""

    def __init__(
        self,
        *,
        project: str,
        queue: Queue,
        gate: Gate,
        delivery: Delivery,
        slots: Slots,
        clock: Clock,
        random: Random,
        worker: str,
        stopping: asyncio.Event,
        tenure: Tenure,
        call_seconds: float,
    ) -> None:
        self._project = project
        self._queue = queue
        self._gate = gate
        self._delivery = delivery
        self._slots = slots
        self._clock = clock
        self._random = random
        self._worker = worker
        self._stopping = stopping
        self._tenure = tenure
        self._call_seconds = call_seconds
        self._woken = asyncio.Event()
        self._wanted_at = _NEVER
        self._calls: set[asyncio.Task[None]] = set()
        self._store_failures = 0

    @property
    def watching(self) -> bool:
        """Whether it wants to be woken every second, due purges or not."""
        return self._gate.watching

    def wake(self, due: datetime = EPOCH) -> None:
        """There is something to do from `due` on; costs nothing where the lane looks no later by itself."""
        if due < self._wanted_at:
            self._wanted_at = due
            self._woken.set()

    def status(self) -> LaneStatus:
        """A look from outside."""
        pace = self._gate.pace
        return LaneStatus(len(self._calls), pace.failures, pace.not_before, self._gate.held)

    async def run(self) -> None:
        """Until told to stop, then until the calls under way have ended; cancelling cuts those short."""
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                self._wanted_at = _NEVER
                until = await self._look()
                if until is not None and until <= self._wanted_at:
                    # What it was woken for meanwhile can wait for that.
                    self._wanted_at = until
                    self._woken.clear()
                await pause(self._woken, self._seconds(until))
            if self._calls:
                await asyncio.wait(self._calls)
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)

    def _seconds(self, until: datetime | None) -> float | None:
        return None if until is None else (until - self._clock()).total_seconds()

    async def _look(self) -> datetime | None:
        """Makes what calls can be made; when to look again, None for when woken. Nothing ends the lane."""
        try:
            until = await self._send_due()
        except StoreUnavailable as error:
            self._store_failures += 1
            if self._store_failures == 1:
                log.warning(
                    "store.unavailable", doing="looking for due purges", project=self._project, reason=str(error)
                )
            return self._clock() + backoff(self._store_failures, self._random, STORE_PAUSE)
        except Exception:
            log.exception("lane.crashed", project=self._project)
            return self._clock() + _RESTART
        self._store_failures = 0
        return until

    async def _send_due(self) -> datetime | None:
        while self._gate.room(len(self._calls)) and not self._stopping.is_set():
            if not self._tenure.lasts(self._call_seconds):
                return self._clock() + _RESTART  # renewed by then, or another process's
            due = await self._queue.next_due_at(self._project)
            if not self._gate.watching:
                if due is None:
                    return None
                if due > self._clock():
                    return due
            if self._calls and self._slots.crowded:
                # Not worth waiting in line for: this lane's own next free place may be the first there is.
                return None
            async with AsyncExitStack() as place:
                await place.enter_async_context(self._slots.one(further=bool(self._calls)))
                # Only now: while waiting for a place, much may have changed.
                verdict = await self._gate.admit(calls=len(self._calls), pending=due is not None)
                if isinstance(verdict, Wait):
                    return verdict.until
                if due is None or due > self._clock():
                    return due
                if not await self._claim(verdict, place):
                    # Dropped or ended by somebody else in between.
                    return None
        return None

    async def _claim(self, admitted: Pass, place: AsyncExitStack) -> bool:
        """Takes the next batch and sets out with it; false where there is none to take."""
        purges = await self._queue.claim(self._project, self._worker, self._clock(), MAX_IMAGES)
        if not purges:
            return False
        call = asyncio.create_task(self._deliver(purges, admitted, place.pop_all()), name=f"purge {self._project}")
        self._calls.add(call)
        call.add_done_callback(self._ended)
        return True

    async def _deliver(self, purges: Sequence[Purge], admitted: Pass, place: AsyncExitStack) -> None:
        first = purges[0]
        async with place:
            await self._delivery.deliver(Batch(first.project, first.action, first.deadline, tuple(purges)), admitted)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self.wake()
