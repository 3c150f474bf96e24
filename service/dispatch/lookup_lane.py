"""One source's lookups, one at a time: what is due is asked for, and what comes of it is on disk before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from service.dispatch.answers import Answers
from service.dispatch.limits import STORE_PAUSE, Pace, Random, backoff
from service.dispatch.lookup_policy import Dead, Decision, Held, Later, decide, elsewhere, settlement
from service.dispatch.ports import Asking, Getter, Lookups, Resolver
from service.dispatch.tenure import Tenure
from service.dispatch.waiting import insist, pause
from service.domain.clock import EPOCH, Clock
from service.domain.errors import StoreUnavailable
from service.domain.log import log
from service.domain.lookups import Fetched, Lookup, LookupEnd, LookupState
from service.domain.receipts import first_due
from service.settings.model import Dispatch

_RESTART = timedelta(seconds=1)
_LOOKUP_SECONDS = 15.0  # from a claim until what comes of it is on disk

T = TypeVar("T")


class Host(Protocol):
    """The pace of requests to one API; shared by the sources that ask there."""

    pace: Pace


class LookupLane:
    """Sleeps until the next lookup is due, or until woken."""

    def __init__(
        self,
        *,
        source: str,
        asking: Asking,
        host: Host,
        lookups: Lookups,
        getter: Getter,
        answers: Answers,
        clock: Clock,
        random: Random,
        settings: Dispatch,
        worker: str,
        stopping: asyncio.Event,
        tenure: Tenure,
        wake: Callable[[Mapping[str, datetime]], None],
    ) -> None:
        assert asking.resolver is not None, "only sources that look URLs up have a lane"
        self._source = source
        self._asking = asking
        self._resolver: Resolver = asking.resolver
        self._host = host
        self._lookups = lookups
        self._getter = getter
        self._answers = answers
        self._clock = clock
        self._random = random
        self._max_age = timedelta(seconds=settings.max_age)
        self._probe_every = timedelta(seconds=settings.probe_every)
        self._worker = worker
        self._stopping = stopping
        self._tenure = tenure
        self._wake_purges = wake
        self._woken = asyncio.Event()
        self._store_failures = 0
        self._probe_at = EPOCH
        self.held: str | None = None
        """Why the API answers nobody with these headers, None where it does."""

    def wake(self) -> None:
        """There may be something to do."""
        self._woken.set()

    async def run(self) -> None:
        """Until told to stop and the lookup under way has ended; cancelling cuts that short, for the next start."""
        while not self._stopping.is_set():
            self._woken.clear()
            until = await self._look()
            await pause(self._woken, None if until is None else (until - self._clock()).total_seconds())

    async def _look(self) -> datetime | None:
        """Makes what lookups can be made; when to look again, None for when woken. Nothing ends the lane."""
        try:
            until = await self._work()
        except StoreUnavailable as error:
            self._store_failures += 1
            if self._store_failures == 1:
                log.warning("store.unavailable", doing="looking for lookups", source=self._source, reason=str(error))
            return self._clock() + backoff(self._store_failures, self._random, STORE_PAUSE)
        except Exception:
            log.exception("lookup.lane_crashed", source=self._source)
            return self._clock() + _RESTART
        self._store_failures = 0
        return until

    async def _work(self) -> datetime | None:
        while not self._stopping.is_set():
            if not self._tenure.lasts(_LOOKUP_SECONDS):
                return self._clock() + _RESTART  # renewed by then, or another process's
            due = await self._lookups.next_due_at(self._source)
            if due is None:
                return None
            at = max(due, self._host.pace.not_before, EPOCH if self.held is None else self._probe_at)
            if at > self._clock():
                return at
            lookup = await self._lookups.claim(self._source, self._worker, self._clock())
            if lookup is None:
                return None
            await self._carry_out(lookup)
        return None

    async def _carry_out(self, lookup: Lookup) -> None:
        begun = self._clock()
        try:
            fetched = await self._fetched(lookup, begun)
            decision = self._decide(lookup, fetched)
            self._keep_pace(decision, fetched, begun)
            if isinstance(decision, LookupEnd):
                await self._end(lookup, decision, begun)
                return
            status = fetched.status or None
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("lookup.crashed", source=self._source)
            status, reason = None, f"it failed inside the relay: {type(error).__name__}"
            decision = Later(self._clock() + backoff(lookup.attempts, self._random), reason)
            self._host.pace = self._host.pace.failed(begun, self._clock(), None, self._random)
        await self._settle(lookup, decision, begun, status)

    async def _settle(self, lookup: Lookup, decision: Dead | Later | Held, begun: datetime, status: int | None) -> None:
        settled = settlement(decision, lookup, self._clock(), self._max_age)
        await self._insist(partial(self._lookups.settle, lookup, settled, self._clock()), "settling a lookup")
        outcome = "held" if isinstance(decision, Held) else "retry"
        if settled.state is not LookupState.PENDING:
            outcome = str(settled.state)
        self._log(lookup, begun, outcome=outcome, status=status, reason=settled.last_error)

    async def _fetched(self, lookup: Lookup, begun: datetime) -> Fetched:
        """The answer, or one of a moment ago. The secrets go to the host that the file names now, and to no other."""
        if not self._resolver.own(lookup.url):
            return Fetched(status=0, reason="`resolve` names another host by now: replay the receipt")
        kept = self._answers.get(self._source, lookup.url, lookup.changed_at, begun)
        if kept is not None:
            return kept
        try:
            fetched = await self._getter.get(self._resolver.with_secrets(lookup.url), self._resolver.headers)
        except Exception as error:
            log.exception("lookup.call_failed", source=self._source)
            # Only the kind: an unforeseen error's own text may hold anything.
            return Fetched(status=None, reason=f"the request failed inside the relay: {type(error).__name__}")
        self._answers.put(self._source, lookup.url, begun, fetched)
        return fetched

    def _decide(self, lookup: Lookup, fetched: Fetched) -> Decision:
        now = self._clock()
        newer = self._resolver.instead(lookup.url, fetched.status, fetched.body)
        if newer is not None:
            return elsewhere(newer, lookup, now, self._random)
        return decide(fetched, lookup, self._resolver.found, now, self._random)

    def _keep_pace(self, decision: Decision, fetched: Fetched, begun: datetime) -> None:
        """Slowly after trouble; a source whose secrets are refused asks no more than now and then."""
        now = self._clock()
        if isinstance(decision, Held):
            self._probe_at = now + self._probe_every
            if self.held is None:
                log.warning("lookup.held", source=self._source, reason=decision.reason, probe_at=str(self._probe_at))
            self.held = decision.reason
            return
        if isinstance(decision, Later) and decision.url is None:
            self._host.pace = self._host.pace.failed(begun, now, fetched.retry_at, self._random)
            return
        self._host.pace = Pace()
        if self.held is not None:
            log.info("lookup.resumed", source=self._source)
            self.held = None

    async def _end(self, lookup: Lookup, end: LookupEnd, begun: datetime) -> None:
        """The rules see the events with their URLs: in steps, so that webhooks get in between."""
        purges, more = 0, True
        while more:
            now = self._clock()
            resolved = await self._insist(
                partial(self._lookups.resolve, lookup, end, self._asking.planner_of, now),
                "storing what was looked up",
            )
            purges, more = purges + resolved.purges, resolved.more
            if due := first_due(resolved.planned, now):
                self._wake_purges(due)
        outcome = "found" if end.urls else str(end.state)
        self._log(lookup, begun, outcome=outcome, urls=len(end.urls), purges=purges, reason=end.reason)

    async def _insist(self, job: Callable[[], Awaitable[T]], what: str) -> T:
        return await insist(job, what, stopping=self._stopping, random=self._random)

    def _log(self, lookup: Lookup, begun: datetime, *, outcome: str, **more: object) -> None:
        """The one line of a lookup's try, however it ended."""
        fine = outcome in ("found", LookupState.MISSING)
        (log.info if fine else log.warning)(
            "lookup.done" if fine else "lookup.failed",
            source=self._source,
            asset=lookup.asset_id,
            outcome=outcome,
            attempts=lookup.attempts,
            duration_ms=max(0, round((self._clock() - begun) / timedelta(milliseconds=1))),
            lookup=lookup.id,
            **{name: value for name, value in more.items() if value is not None},
        )
