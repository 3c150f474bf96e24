"""What waits for the writing thread, and what it came to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from service.store.engine import Tx

Join = Callable[[Tx, Sequence[Any]], Sequence[Any]]


class Job(Struct, eq=False):
    """Items that `join` is given, with those of other jobs that have the same; None: the one item is called itself.

    `outcomes` is a result or an error for each item, once they have ended.
    """

    join: Join | None
    items: Sequence[Any]
    future: asyncio.Future[Any] | None = None
    outcomes: Sequence[Any] = ()

    def each(self) -> list[Job]:
        """A job an item, which nobody waits for: the item may be to blame for what all of them suffer."""
        return [Job(self.join, [item]) for item in self.items]

    def fail(self, error: Exception) -> None:
        """Each item has come to this error."""
        self.outcomes = [error] * len(self.items)

    def resolve(self) -> None:
        """In the loop: tell whoever waits."""
        if self.future is None or self.future.cancelled():  # the request went away; what was committed stays committed
            return
        if self.join is not None:
            self.future.set_result(self.outcomes)
        elif isinstance(self.outcomes[0], Exception):
            self.future.set_exception(self.outcomes[0])
        else:
            self.future.set_result(self.outcomes[0])


class Run(Struct):
    """Jobs whose items are given to one `join` together."""

    join: Join
    jobs: list[Job]

    @property
    def to_blame(self) -> Job | None:
        """Whose error it is when this fails; None where there are several."""
        return self.jobs[0] if len(self.jobs) == 1 and len(self.jobs[0].items) == 1 else None

    def carry_out(self, tx: Tx) -> None:
        """Each job's outcomes are there then; raises what `join` raises."""
        items = [item for job in self.jobs for item in job.items]
        outcomes = self.join(tx, items)
        assert len(outcomes) == len(items), "a result for each item"
        at = 0
        for job in self.jobs:
            job.outcomes = outcomes[at : at + len(job.items)]
            at += len(job.items)


def runs(jobs: Iterable[Job]) -> list[Run]:
    """The jobs in the order in which they came, those that share a `join` at the first one's place."""
    found: list[Run] = []
    places: dict[Join, Run] = {}
    for job in jobs:
        if job.join is None:
            found.append(Run(_by_itself, [job]))
        elif (place := places.get(job.join)) is not None:
            place.jobs.append(job)
        else:
            places[job.join] = place = Run(job.join, [job])
            found.append(place)
    return found


def size(jobs: Iterable[Job]) -> int:
    """How many items they have."""
    return sum([len(job.items) for job in jobs])


def _by_itself(tx: Tx, items: Sequence[Callable[[Tx], Any]]) -> list[Any]:
    return [work(tx) for work in items]
