"""Who sends for which project, among all the processes on a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import inf

from service.store.engine import Engine, Tx

RENEW_AFTER = 3.0
"""Seconds after which a lease is renewed."""

_WORKERS = "@"  # what the row of a process itself begins with: no project's name does


class LockedLanes:
    """One process has all lanes, for as long as it holds a lock that ends with it, however it ends."""

    def __init__(self, try_lock: Callable[[], bool]) -> None:
        self._try_lock = try_lock

    async def own(self, projects: Collection[str]) -> Mapping[str, float]:
        """All of them for ever, or none; raises StoreUnavailable."""
        return dict.fromkeys(projects, inf) if self._try_lock() else {}

    async def give_up(self, project: str) -> None:
        """Nothing: the lock is for all lanes together."""


class LeasedLanes:
    """Lanes are leased for `seconds`, by the database's clock; each process takes no more than its share.

    A process that is gone, or that the database cannot hear, loses its lanes when the lease ends. It begins no call
    that might last longer, so that no two processes ever call for one project at a time.
    """

    def __init__(self, engine: Engine, worker: str, seconds: float, time: Callable[[], float]) -> None:
        self._engine = engine
        self._worker = worker
        self._seconds = seconds
        self._time = time
        self._asked_at = -inf
        self._owned: frozenset[str] = frozenset()

    async def own(self, projects: Collection[str]) -> Mapping[str, float]:
        """The projects that are this process's, and for how many seconds more; raises StoreUnavailable."""
        age = self._time() - self._asked_at
        if age >= RENEW_AFTER:
            asked_at = self._time()
            self._owned = await self._engine.write(lambda tx: self._share(tx, frozenset(projects)))
            self._asked_at, age = asked_at, self._time() - asked_at
        return dict.fromkeys(self._owned, self._seconds - age)

    async def give_up(self, project: str) -> None:
        """Let another process have a project at once; raises StoreUnavailable."""
        self._owned -= {project}
        self._asked_at = -inf
        await self._engine.write(lambda tx: tx.run("leave_lane", project=project, worker=self._worker))

    def _share(self, tx: Tx, projects: frozenset[str]) -> frozenset[str]:
        # One process after the other: each holds rows that the next one looks at, and two would wait for each other.
        tx.lock([(_WORKERS,)])
        lease = {"worker": self._worker, "lease": round(self._seconds * 1000)}
        tx.run("join_workers", name=_WORKERS + self._worker, **lease)
        workers = int(tx.value("count_workers"))
        kept = {row["project"] for row in tx.all("lanes_of_worker", worker=self._worker)}
        share = -(-len(projects) // workers)
        # What is more than the share is not renewed and not let go: a call may be under way. `give_up` ends it.
        owned = set(sorted(kept & projects)[:share])
        for project in owned:
            tx.run("renew_lane", project=project, **lease)
        for project in sorted(projects - owned):
            if len(owned) < share and project not in kept and tx.one("take_lane", project=project, **lease) is not None:
                owned.add(project)
        return frozenset(owned)
