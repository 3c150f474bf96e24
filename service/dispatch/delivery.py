"""One claimed batch on its way: the call, what the answer means, and that on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from service.dispatch.gate import Gate, Pass
from service.dispatch.limits import Random
from service.dispatch.policy import Decision, Hold, Retry, Split, decide, halves, settlements
from service.dispatch.ports import Caller, CallSpan, Meter, Queue, Tracer
from service.dispatch.tenure import Tenure
from service.dispatch.waiting import insist
from service.domain.attempts import Attempt, Settlement
from service.domain.batches import Batch
from service.domain.clock import Clock
from service.domain.errors import StoreUnavailable
from service.domain.ids import new_id
from service.domain.log import log
from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Purge, PurgeState


class Delivery:
    """Brings one project's batches to Vercel. Whatever happens, no claimed purge is forgotten: it is settled, released,
    or left claimed for `recover`."""

    def __init__(
        self,
        *,
        project: str,
        queue: Queue,
        caller: Caller,
        gate: Gate,
        meter: Meter,
        clock: Clock,
        random: Random,
        max_age: timedelta,
        stopping: asyncio.Event,
        tenure: Tenure,
        call_seconds: float,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._project = project
        self._queue = queue
        self._caller = caller
        self._gate = gate
        self._meter = meter
        self._clock = clock
        self._random = random
        self._max_age = max_age
        self._stopping = stopping
        self._tenure = tenure
        self._call_seconds = call_seconds

    async def deliver(self, batch: Batch[Purge], admitted: Pass) -> None:
        """Calls for the batch, and for halves of it as long as Vercel refuses one of its images."""
        waiting = deque([batch])
        try:
            while waiting and not self._stopping.is_set() and self._tenure.lasts(self._call_seconds):
                decision = await self._call(waiting[0], admitted)
                if isinstance(decision, Split):
                    waiting.extendleft(reversed(halves(waiting.popleft())))
                    continue
                waiting.popleft()
                if isinstance(decision, (Retry, Hold)):
                    break
        except StoreUnavailable:
            self._leave(waiting)
            return
        except Exception:
            log.exception("purge.failed", project=batch.project)
            self._gate.stumbled(self._clock())
        await self._release(waiting)

    async def _call(self, batch: Batch[Purge], admitted: Pass) -> Decision:
        call_id = new_id("call", self._clock())
        span = None if self._tracer is None else await self._tracer.call(batch, call_id)
        begun = self._clock()
        try:
            outcome = await self._ask(batch, admitted)
        except asyncio.CancelledError:
            cut_short = _unanswered("the relay stopped before the answer came")
            _log(batch, self._attempt(len(batch.purges), call_id, begun, cut_short, "cancelled", span=span))
            raise
        decision = decide(outcome, batch, self._clock(), self._random)
        word = "split" if isinstance(decision, Split) else str(outcome.kind)
        attempt = self._attempt(len(batch.purges), call_id, begun, outcome, word, span=span)
        settled = self._settlements(decision, batch, admitted)
        if isinstance(decision, Retry):
            self._gate.stumbled(begun, outcome.retry_at)
        _log(batch, attempt, settled, warning=outcome.warning, request_id=outcome.request_id)
        # The board first: once the purges are back in the queue, the next claim has to know.
        await self._insist(lambda: self._gate.tell(outcome, decision, admitted), "telling what an answer means")
        await self._insist(lambda: self._queue.settle(attempt, batch.purges, settled), "settling purges")
        if not isinstance(decision, Retry):
            self._gate.went_well()
        self._count(settled)
        return decision

    def _count(self, settled: Sequence[Settlement]) -> None:
        now = self._clock()
        for one in settled:
            if one.state in (PurgeState.DONE, PurgeState.DEAD):
                waited = max(0.0, (now - one.purge.created_at).total_seconds())
                self._meter.finished(self._project, str(one.state), one.purge.events, waited)

    def _settlements(self, decision: Decision, batch: Batch[Purge], admitted: Pass) -> Sequence[Settlement]:
        now = self._clock()
        # The time in which a project is held does not count, nor do its probes.
        counted_from = now if admitted.probe else self._gate.open_since
        return settlements(decision, batch, now, max_age=self._max_age, counted_from=counted_from)

    def _attempt(
        self, images: int, call_id: str, begun: datetime, outcome: Outcome, word: str, *, span: CallSpan | None
    ) -> Attempt:
        now = self._clock()
        if span is not None:
            span.end(word, outcome.status, outcome.reason)
        if outcome.quota_left is not None:
            self._meter.quota_left(self._project, outcome.quota_left)
        self._meter.call(self._project, word, outcome.status, images, max(0.0, (now - begun).total_seconds()))
        return Attempt(
            call_id=call_id,
            at=now,
            images=images,
            status=outcome.status,
            outcome=word,
            reason=outcome.reason,
            duration_ms=max(0, round((now - begun) / timedelta(milliseconds=1))),
        )

    async def _ask(self, batch: Batch[Purge], admitted: Pass) -> Outcome:
        try:
            # Whoever takes the project over relies on it: no call of a former owner lasts longer.
            async with asyncio.timeout(self._call_seconds):
                return await self._caller.purge(batch, admitted.credential.token)
        except TimeoutError:
            return _unanswered("timeout: the call took too long in all")
        except Exception as error:
            log.exception("purge.call_failed", project=batch.project)
            # Only the kind: an unforeseen error's own text may hold anything.
            return _unanswered(f"the call failed inside the relay: {type(error).__name__}")

    async def _release(self, waiting: deque[Batch[Purge]]) -> None:
        purges = [purge for batch in waiting for purge in batch.purges]
        if purges:
            try:
                await self._insist(lambda: self._queue.release(purges), "releasing purges")
            except StoreUnavailable:
                self._leave(waiting)

    def _leave(self, waiting: deque[Batch[Purge]]) -> None:
        log.warning(
            "purges.left_claimed",
            project=waiting[0].project,
            images=sum(len(batch.purges) for batch in waiting),
            reason="the store does not answer while the relay stops; they are taken up at the next start",
        )

    async def _insist(self, job: Callable[[], Awaitable[None]], what: str) -> None:
        await insist(job, what, stopping=self._stopping, random=self._random)


def _unanswered(reason: str) -> Outcome:
    return Outcome(kind=OutcomeKind.TRANSIENT, status=None, reason=reason)


def _log(batch: Batch[Purge], attempt: Attempt, settled: Sequence[Settlement] = (), **more: str | None) -> None:
    """The one line of a call, however it ended."""
    dead = sum(settlement.state is PurgeState.DEAD for settlement in settled)
    fine = attempt.outcome == OutcomeKind.DONE and more.get("warning") is None
    (log.info if fine else log.warning)(
        "purge.sent",
        project=batch.project,
        action=str(batch.action),
        images=attempt.images,
        status=attempt.status,
        outcome=attempt.outcome,
        reason=attempt.reason,
        duration_ms=attempt.duration_ms,
        call_id=attempt.call_id,
        **{name: value for name, value in {"dead": dead or None, **more}.items() if value is not None},
    )
