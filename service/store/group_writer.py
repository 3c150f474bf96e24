"""One thread that commits what waits together: one transaction, and one sync to disk, for many requests."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from service.domain.errors import StoreUnavailable
from service.store.engine import Tx
from service.store.jobs import Job, runs, size

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item

GROUP = 128
"""Items of the jobs that share a transaction; the last job may bring more. Bounds how long the first one waits."""

WAITING = 2000
"""Items that may wait; a request beyond them is told to come back, memory stays bounded."""

_PAUSE = 0.02  # seconds before the second attempt, at most; more before later ones
_SPENT = 2 * GROUP  # items that are kept when more are done
_SPENT_SECONDS = 1.0  # that jobs are kept for when no other is committed
_ATTEMPTS = 5  # at a transaction that another process's got in the way of


class Connection(Protocol):
    """A database as the writing thread sees it; used by that thread alone once it has started.

    `in_process` says that its statements run here, in turns with the loop's work, and only a commit waits for long.
    """

    in_process: bool

    def begin(self, waits: Callable[[], None], /) -> Tx:
        """A new transaction, on a new connection where there is none; raises whatever is wrong. In process, `waits` is
        called before another process's transaction is waited for."""
        ...

    def commit(self) -> None:
        """End the transaction, on disk when this returns."""
        ...

    def roll_back(self) -> None:
        """Back to a connection without a transaction, or to none; never raises."""
        ...

    def drop(self) -> None:
        """Let go of the connection."""
        ...

    def of_the_job(self, error: Exception) -> bool:
        """Whether a job brought this error upon itself, and the others of its group are not to blame."""
        ...

    def in_the_way(self, error: Exception, /) -> bool:
        """Whether another process's transaction was in the way, and the same may work at once."""
        ...

    def trouble(self, error: Exception) -> StoreUnavailable:
        """What an error of the database's own says to whoever waits."""
        ...


class _Failure(Struct, frozen=True):
    """Why a transaction did not come about. `job` is whose own error it was; `begun` tells whether it got that far,
    `in_the_way` whether it may work at once."""

    error: Exception
    job: Job | None
    begun: bool
    in_the_way: bool = False


class WriterStats(Struct):
    """How well commits are shared, and how much waits for one: `jobs` and `waiting` are webhooks and what else is
    written, each by itself, however many were given together."""

    commits: int = 0
    jobs: int = 0
    failures: int = 0
    waiting: int = 0
    told: Callable[[int, float], None] | None = None
    """Called by the writing thread after each commit: its jobs, and the seconds since its transaction was begun."""


class GroupWriter:
    """Runs jobs in shared transactions. Every method but `join` is for the loop that made it."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.stats = WriterStats()
        self.meanwhile: Callable[[], None] = _nothing  # called in the loop while a commit is waited for
        self._spent: list[Job] = []  # handed back, and to be let go of
        self._spent_timer: asyncio.TimerHandle | None = None
        self._connection = connection
        self._gathered: list[Job] = []
        self._queue: queue.SimpleQueue[Sequence[Job] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._waiting: deque[Job] = deque()  # in the thread's hands
        self._committed: list[Job] = []  # and not handed back yet
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work; from here on the connection is the thread's."""
        self._thread.start()

    def write(self, job: Callable[[Tx], T]) -> asyncio.Future[T]:
        """Run a job in a transaction that it may share with others; done once that is on disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._enter(Job(None, [job], future))
        return future

    def write_joined(
        self, join: Callable[[Tx, Sequence[I]], Sequence[T]], items: Sequence[I]
    ) -> asyncio.Future[Sequence[T | Exception]]:
        """As `write`, for items of which each succeeds or fails by itself; what waits for the same `join` is given to
        it together. Where that fails, each item is tried alone in a transaction of its own, so that the others do not
        suffer."""
        future: asyncio.Future[Sequence[T | Exception]] = self._loop.create_future()
        if items:
            self._enter(Job(join, items, future))
        else:
            future.set_result([])
        return future

    def _enter(self, job: Job) -> None:
        if self.stats.waiting >= WAITING:
            job.fail(StoreUnavailable("too much is waiting for the disk"))
            job.resolve()
            return
        self.stats.waiting += len(job.items)
        if not self._gathered:
            # After all that is ready to run now: the thread is woken once, and commits once, for what that brings.
            self._loop.call_soon(self._pass_on)
        self._gathered.append(job)

    def finish(self) -> None:
        """Take no more; `join` returns when what waits is done."""
        self._pass_on()
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the end of the thread: for another thread than the loop's."""
        self._thread.join()

    def _pass_on(self) -> None:
        jobs, self._gathered = self._gathered, []
        if jobs:
            self._queue.put(jobs)

    def _run(self) -> None:
        while self._ran_group():
            pass
        self._hand_back()

    def _ran_group(self) -> bool:
        """Waits for jobs and does them; False at the end. A call of its own, so that this thread holds none of them
        while it waits for more."""
        jobs = self._next_jobs()
        if not jobs:
            return False
        if any(job.join is None for job in jobs):  # they may take long
            self._hand_back()
        failure = self._commit(jobs)
        if failure is not None:  # no transaction could even be begun: whoever waits has waited long enough
            rest = self._waiting_jobs(WAITING)
            for job in rest:
                job.fail(failure)
            jobs += rest
        self._hand_back()
        self._committed = jobs
        if (not self._waiting and self._queue.empty()) or not self._connection.in_process:
            self._hand_back()
        return True

    def _next_jobs(self) -> list[Job]:
        """Waits for jobs and takes those behind them along; none at the end."""
        while not self._waiting and not self._ended:
            self._take(self._queue.get())
        return self._waiting_jobs(GROUP)

    def _waiting_jobs(self, limit: int) -> list[Job]:
        """Those that wait, until they have as many items as that, or a few more."""
        while not self._queue.empty():
            self._take(self._queue.get())
        jobs: list[Job] = []
        while limit > 0 and self._waiting:
            job = self._waiting.popleft()
            jobs.append(job)
            limit -= len(job.items)
        return jobs

    def _take(self, jobs: Sequence[Job] | None) -> None:
        if jobs is None:
            self._ended = True
        else:
            self._waiting += jobs

    def _commit(self, jobs: Sequence[Job]) -> Exception | None:
        """All in one transaction, but those that fail by themselves; the error where none could be begun."""
        left = list(jobs)
        while left:
            failure = self._transaction(left)
            if failure is None:
                return None
            if failure.job is not None:
                failure.job.fail(failure.error)
                left.remove(failure.job)
            elif failure.begun and size(left) > 1:
                return self._commit_alone(left)
            else:
                for job in left:
                    job.fail(failure.error)
                return None if failure.begun else failure.error
        return None

    def _commit_alone(self, jobs: Sequence[Job]) -> Exception | None:
        """One transaction an item: it may have been one of them, a large one, that the disk had no room for."""
        failure: Exception | None = None
        for job in jobs:
            each = job.each()
            for one in each:
                if failure is None:
                    failure = self._commit([one])
                else:
                    one.fail(failure)
            job.outcomes = [outcome for one in each for outcome in one.outcomes]
        return failure

    def _transaction(self, jobs: Sequence[Job]) -> _Failure | None:
        """All of them or none, tried again where another process's transaction was in the way."""
        for number in range(1, _ATTEMPTS):
            failure = self._attempt(jobs)
            if failure is None or not failure.in_the_way:
                return failure
            time.sleep(random.uniform(0, _PAUSE * number))  # noqa: S311 - only so that the two do not meet again
        return self._attempt(jobs)

    def _attempt(self, jobs: Sequence[Job]) -> _Failure | None:
        begun, begun_at = False, time.perf_counter()
        current: Job | None = None  # the one to blame
        try:
            tx = self._connection.begin(self._hand_back)
            begun = True
            for run in runs(jobs):
                current = run.to_blame
                run.carry_out(tx)
            current = None
            self._hand_back(committing=True)  # while the disk is waited for, the loop has the interpreter to itself
            self._connection.commit()
        except Exception as error:
            self._connection.roll_back()
            in_the_way = begun and self._connection.in_the_way(error)
            if begun and not in_the_way and self._connection.of_the_job(error):
                return _Failure(error, current, begun)
            self.stats.failures += 1
            return _Failure(self._connection.trouble(error), None, begun, in_the_way)
        self.stats.commits += 1
        items = size(jobs)
        self.stats.jobs += items
        if self.stats.told is not None:
            self.stats.told(items, time.perf_counter() - begun_at)
        return None

    def _hand_back(self, *, committing: bool = False) -> None:
        """Tells the loop what its jobs have come to: of a group, when the next one is about to be committed."""
        jobs, self._committed = self._committed, []
        if not jobs and not committing:
            return
        try:
            self._loop.call_soon_threadsafe(self._resolve, jobs, committing)
        except RuntimeError:  # the loop was closed before the store: nobody waits for results any more
            self._ended = True
            self._connection.drop()

    def _resolve(self, jobs: list[Job], committing: bool) -> None:
        self.stats.waiting -= size(jobs)
        for job in jobs:
            job.resolve()
        # To let go of all that they hold takes as long as to answer them: it can wait, too, though not for ever.
        if size(self._spent) > _SPENT:  # as where no transaction can be begun, and all fail at once
            self._spent = []
        self._spent += jobs
        if self._spent and self._spent_timer is None:
            self._spent_timer = self._loop.call_later(_SPENT_SECONDS, self._let_go)
        if committing:
            self._loop.call_soon(self._use_the_wait)  # after those that have waited for these jobs

    def _use_the_wait(self) -> None:
        self._spent = []
        self.meanwhile()

    def _let_go(self) -> None:
        self._spent, self._spent_timer = [], None


def _nothing() -> None:
    """Nobody has anything to do meanwhile."""
