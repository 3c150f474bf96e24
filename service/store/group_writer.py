"""One thread that commits what waits together: one transaction, and one sync to disk, for many requests."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from service.domain.errors import StoreUnavailable
from service.store.engine import Tx

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item
Join = Callable[[Tx, Sequence[Any]], Sequence[Any]]

GROUP = 128
"""Jobs a transaction takes at most: bounds how long the first of them waits."""

WAITING = 2000
"""Jobs that may wait; a request beyond them is told to come back, memory stays bounded."""

_PAUSE = 0.02  # seconds before the second attempt, at most; more before later ones
_SPENT = 2 * GROUP  # jobs that are kept when more are done
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


class _Job(Struct, Generic[T], eq=False):
    """`join` does the work for all items that it is given; None for a job of its own, which is the item."""

    join: Callable[[Tx, Sequence[Any]], Sequence[T]] | None
    item: Any
    future: asyncio.Future[T] | _Outcomes[T]
    result: T | None = None
    error: Exception | None = None

    def resolve(self) -> None:
        if self.future.cancelled():  # its request has gone away; what was committed stays committed
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]  # set whenever error is None


class _Outcomes(Generic[T]):
    """What some jobs came to that were given together, in their order, once the last of them has ended."""

    def __init__(self, number: int, future: asyncio.Future[Sequence[T | Exception]]) -> None:
        self._left = number
        self._outcomes: list[T | Exception] = []
        self._future = future
        self.cancelled = future.cancelled

    def set_result(self, outcome: T | Exception) -> None:
        self._outcomes.append(outcome)  # jobs are resolved in the order in which they came
        self._left -= 1
        if not self._left:
            self._future.set_result(self._outcomes)

    set_exception = set_result


class _Failure(Struct, frozen=True):
    """Why a transaction did not come about. `job` is whose own error it was; `begun` tells whether it got that far,
    `in_the_way` whether it may work at once."""

    error: Exception
    job: _Job[Any] | None
    begun: bool
    in_the_way: bool = False


class WriterStats(Struct):
    """How well commits are shared, and how much waits for one."""

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
        self._spent: list[_Job[Any]] = []  # handed back, and to be let go of
        self._spent_timer: asyncio.TimerHandle | None = None
        self._connection = connection
        self._gathered: list[_Job[Any]] = []
        self._queue: queue.SimpleQueue[Sequence[_Job[Any]] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._committed: list[_Job[Any]] = []  # and not handed back yet
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work; from here on the connection is the thread's."""
        self._thread.start()

    def write(self, job: Callable[[Tx], T]) -> asyncio.Future[T]:
        """Run a job in a transaction that it may share with others; done once that is on disk."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._enter([_Job(None, job, future)])
        return future

    def write_joined(
        self, join: Callable[[Tx, Sequence[I]], Sequence[T]], items: Sequence[I]
    ) -> asyncio.Future[Sequence[T | Exception]]:
        """As `write`, for items of which each succeeds or fails by itself; what waits for the same `join` is given to
        it together. One whose item fails gets to see it alone in a transaction of its own, so that the others' do not
        suffer."""
        future: asyncio.Future[Sequence[T | Exception]] = self._loop.create_future()
        if items:
            outcomes = _Outcomes(len(items), future)
            self._enter([_Job(join, item, outcomes) for item in items])
        else:
            future.set_result([])
        return future

    def _enter(self, jobs: Sequence[_Job[Any]]) -> None:
        if self.stats.waiting >= WAITING:
            for job in jobs:
                job.future.set_exception(StoreUnavailable("too much is waiting for the disk"))
            return
        self.stats.waiting += len(jobs)
        if not self._gathered:
            # After all that is ready to run now: the thread is woken once, and commits once, for what that brings.
            self._loop.call_soon(self._pass_on)
        self._gathered += jobs

    def finish(self) -> None:
        """Take no more; `join` returns when what waits is done."""
        self._pass_on()
        self._queue.put(None)

    def join(self) -> None:
        """Wait for the end of the thread: for another thread than the loop's."""
        self._thread.join()

    def _pass_on(self) -> None:
        jobs, self._gathered = self._gathered, []
        for start in range(0, len(jobs), GROUP):
            self._queue.put(jobs[start : start + GROUP])

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
            _fail(rest, failure)
            jobs += rest
        self._hand_back()
        self._committed = jobs
        if self._queue.empty() or not self._connection.in_process:
            self._hand_back()
        return True

    def _next_jobs(self) -> list[_Job[Any]]:
        """Waits for jobs and takes those behind them along; none at the end."""
        first = None if self._ended else self._queue.get()
        return [] if first is None else [*first, *self._waiting_jobs(GROUP - len(first))]

    def _waiting_jobs(self, limit: int) -> list[_Job[Any]]:
        jobs: list[_Job[Any]] = []
        while len(jobs) < limit and not self._ended and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                self._ended = True
            else:
                jobs += more
        return jobs

    def _commit(self, jobs: Sequence[_Job[Any]]) -> Exception | None:
        """All in one transaction, but those that fail by themselves; the error where none could be begun."""
        left = list(jobs)
        while left:
            failure = self._transaction(left)
            if failure is None:
                return None
            if failure.job is not None:
                _fail([failure.job], failure.error)
                left.remove(failure.job)
            elif failure.begun and len(left) > 1:
                return self._commit_alone(left)
            else:
                _fail(left, failure.error)
                return None if failure.begun else failure.error
        return None

    def _commit_alone(self, jobs: Sequence[_Job[Any]]) -> Exception | None:
        """One transaction a job: it may have been one of them, a large one, that the disk had no room for."""
        for number, job in enumerate(jobs, 1):
            failure = self._commit([job])
            if failure is not None:
                _fail(jobs[number:], failure)
                return failure
        return None

    def _transaction(self, jobs: Sequence[_Job[Any]]) -> _Failure | None:
        """All of them or none, tried again where another process's transaction was in the way."""
        for number in range(1, _ATTEMPTS):
            failure = self._attempt(jobs)
            if failure is None or not failure.in_the_way:
                return failure
            time.sleep(random.uniform(0, _PAUSE * number))  # noqa: S311 - only so that the two do not meet again
        return self._attempt(jobs)

    def _attempt(self, jobs: Sequence[_Job[Any]]) -> _Failure | None:
        begun, begun_at = False, time.perf_counter()
        current: _Job[Any] | None = None  # the one to blame
        try:
            tx = self._connection.begin(self._hand_back)
            begun = True
            for join, members in _joined(jobs):
                current = members[0] if len(members) == 1 else None
                for job, result in zip(members, join(tx, [job.item for job in members]), strict=True):
                    job.result = result
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
        self.stats.jobs += len(jobs)
        if self.stats.told is not None:
            self.stats.told(len(jobs), time.perf_counter() - begun_at)
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

    def _resolve(self, jobs: list[_Job[Any]], committing: bool) -> None:
        self.stats.waiting -= len(jobs)
        for job in jobs:
            job.resolve()
        # To let go of all that they hold takes as long as to answer them: it can wait, too, though not for ever.
        if len(self._spent) > _SPENT:  # as where no transaction can be begun, and all fail at once
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


def _joined(jobs: Sequence[_Job[Any]]) -> list[tuple[Join, list[_Job[Any]]]]:
    """The jobs in the order in which they came, those that share a `join` at the first one's place."""
    runs: list[tuple[Join, list[_Job[Any]]]] = []
    places: dict[Join, list[_Job[Any]]] = {}
    for job in jobs:
        if job.join is None:
            runs.append((_by_itself, [job]))
        elif (place := places.get(job.join)) is not None:
            place.append(job)
        else:
            places[job.join] = members = [job]
            runs.append((job.join, members))
    return runs


def _by_itself(tx: Tx, items: Sequence[Any]) -> list[Any]:
    return [work(tx) for work in items]


def _nothing() -> None:
    """Nobody has anything to do meanwhile."""


def _fail(jobs: Sequence[_Job[Any]], error: Exception) -> None:
    for job in jobs:
        job.error = error
