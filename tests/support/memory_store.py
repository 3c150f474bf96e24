"""The store's queue, board and tokens in memory, as the dispatcher knows them; tests/dispatch/test_memory_store.py
holds the queue against the real one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from service.domain.attempts import Attempt, Settlement
from service.domain.clock import Clock
from service.domain.errors import StoreUnavailable
from service.domain.holds import Hold, HoldKind
from service.domain.purges import Action, Purge, PurgeState
from service.domain.tokens import StoredToken, TokenScope


class Trouble:
    """Which methods fail at the moment, and with what."""

    def __init__(self) -> None:
        self.failing: dict[str, Exception] = {}

    def fail(self, *methods: str, error: Exception | None = None) -> None:
        for method in methods:
            self.failing[method] = error or StoreUnavailable("the disk is full")

    def heal(self) -> None:
        self.failing.clear()

    def check(self, method: str) -> None:
        if method in self.failing:
            raise self.failing[method]


class MemoryQueue(Trouble):
    """Purges by id, in the order they came."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._serial = itertools.count(1)
        self.purges: dict[str, Purge] = {}
        self.attempts: list[tuple[Attempt, tuple[str, ...]]] = []
        self.claims: list[tuple[str, int]] = []

    def add(
        self,
        project: str,
        *images: str,
        action: Action = Action.DELETE,
        deadline: int = 60,
        settle: float = 0,
        **more: object,
    ) -> list[str]:
        """As taking in a webhook does: a purge of an image that is pending already joins it. The ids."""
        due_at = self._clock() + timedelta(seconds=settle)
        fields: dict[str, object] = {"action": action, "deadline": deadline, "due_at": due_at, **more}
        return [self._add(project, image, action, deadline, fields) for image in images]

    def _add(self, project: str, image: str, action: Action, deadline: int, fields: Mapping[str, object]) -> str:
        now = self._clock()
        waiting = self._pending(project, image)
        heir = waiting.get(Action.DELETE) or waiting.get(action)
        if heir is not None:
            shorter = min(heir.deadline, deadline) if action is Action.DELETE else heir.deadline
            self._put(replace(heir, events=heir.events + 1, deadline=shorter))
            return heir.id
        purge = Purge(
            id=f"prg_{next(self._serial):06}",
            project=project,
            action=action,
            src_image=image,
            deadline=deadline,
            state=PurgeState.PENDING,
            due_at=now,
            created_at=now,
        )
        self._put(replace(purge, **fields))
        if action is Action.DELETE and Action.INVALIDATE in waiting:
            self._end(waiting[Action.INVALIDATE], PurgeState.SUPERSEDED, now, superseded_by=purge.id)
        return purge.id

    def in_state(self, state: PurgeState, project: str | None = None) -> list[str]:
        """The images whose purges are in a state, in the order they came."""
        return [one.src_image for one in self.purges.values() if one.state is state and project in (None, one.project)]

    # -- the port

    async def recover(self, project: str) -> int:
        self.check("recover")
        claimed = [purge for purge in self._of(PurgeState.CLAIMED) if purge.project == project]
        for purge in claimed:
            self._put_back(_as_it_was(purge), purge.due_at)
        return len(claimed)

    async def projects(self) -> Sequence[str]:
        self.check("projects")
        return sorted({purge.project for purge in self._of(PurgeState.PENDING)})

    async def next_due_at(self, project: str) -> datetime | None:
        self.check("next_due_at")
        return min((one.due_at for one in self._waiting(project)), default=None)

    async def claim(self, project: str, worker: str, now: datetime, limit: int) -> Sequence[Purge]:
        self.check("claim")
        due = sorted((one for one in self._waiting(project) if one.due_at <= now), key=lambda one: (one.due_at, one.id))
        same = [one for one in due if (one.action, one.deadline) == (due[0].action, due[0].deadline)][:limit]
        claimed = [replace(one, state=PurgeState.CLAIMED, attempts=one.attempts + 1) for one in same]
        for purge in claimed:
            self._put(purge)
        self.claims.append((project, len(claimed)))
        return claimed

    async def settle(self, attempt: Attempt, purges: Sequence[Purge], settlements: Sequence[Settlement]) -> None:
        self.check("settle")
        self.attempts.append((attempt, tuple(purge.id for purge in purges)))
        for one in settlements:
            if one.state is PurgeState.PENDING:
                self._put_back(one, attempt.at)
            else:
                self._end(one.purge, one.state, attempt.at, last_error=one.last_error)

    async def release(self, purges: Sequence[Purge]) -> None:
        self.check("release")
        for purge in purges:
            self._put_back(_as_it_was(purge), purge.due_at)
            stored = self.purges[purge.id]
            self._put(replace(stored, attempts=max(0, stored.attempts - 1)))

    async def bury_orphans(self, project: str, before: datetime, now: datetime, reason: str) -> int:
        self.check("bury_orphans")
        old = [one for one in self._of(PurgeState.PENDING) if one.project == project and one.created_at < before]
        for purge in old:
            self._end(purge, PurgeState.DEAD, now, last_error=reason)
        return len(old)

    # -- rows

    def _of(self, state: PurgeState) -> list[Purge]:
        return [purge for purge in self.purges.values() if purge.state is state]

    def _waiting(self, project: str) -> list[Purge]:
        """What could be claimed once it is due: no image that is in a call."""
        called = {one.src_image for one in self._of(PurgeState.CLAIMED) if one.project == project}
        return [one for one in self._of(PurgeState.PENDING) if one.project == project and one.src_image not in called]

    def _pending(self, project: str, image: str) -> dict[Action, Purge]:
        waiting = self._of(PurgeState.PENDING)
        return {one.action: one for one in waiting if (one.project, one.src_image) == (project, image)}

    def _put(self, purge: Purge) -> None:
        self.purges[purge.id] = purge

    def _end(
        self,
        purge: Purge,
        state: PurgeState,
        now: datetime,
        *,
        last_error: str | None = None,
        superseded_by: str | None = None,
    ) -> None:
        ended = replace(
            self.purges[purge.id], state=state, finished_at=now, last_error=last_error, superseded_by=superseded_by
        )
        self._put(ended)

    def _put_back(self, settlement: Settlement, now: datetime) -> None:
        purge, due_at = settlement.purge, settlement.due_at or now
        waiting = self._pending(purge.project, purge.src_image)
        heir = waiting.get(Action.DELETE) or waiting.get(purge.action)
        if heir is not None:
            self._merge(settlement, heir, due_at)
            self._end(purge, PurgeState.SUPERSEDED, now, last_error=settlement.last_error, superseded_by=heir.id)
            return
        absorbed = waiting.get(Action.INVALIDATE)
        if absorbed is not None:
            self._end(absorbed, PurgeState.SUPERSEDED, now, superseded_by=purge.id)
        self._put(
            replace(
                self.purges[purge.id],
                state=PurgeState.PENDING,
                due_at=due_at if absorbed is None else max(due_at, absorbed.due_at),
                events=purge.events + (0 if absorbed is None else absorbed.events),
                last_error=settlement.last_error,
                failing_since=settlement.failing_since,
                finished_at=None,
            )
        )

    def _merge(self, settlement: Settlement, heir: Purge, due_at: datetime) -> None:
        purge, failing = settlement.purge, settlement.failing_since is not None
        merged = replace(
            heir,
            events=heir.events + purge.events,
            deadline=min(heir.deadline, purge.deadline) if purge.action is Action.DELETE else heir.deadline,
            due_at=max(heir.due_at, due_at) if failing else heir.due_at,
            attempts=max(heir.attempts, purge.attempts) if failing else heir.attempts,
            failing_since=heir.failing_since or settlement.failing_since,
        )
        self._put(merged)


class MemoryBoard(Trouble):
    """Holds and budgets."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Hold] = {}
        self.blocked: dict[str, datetime] = {}
        self.reads = 0

    async def holds(self) -> Mapping[str, Hold]:
        self.check("holds")
        self.reads += 1
        return dict(self.held)

    async def hold(self, hold: Hold) -> None:
        self.check("hold")
        present = self.held.get(hold.project)
        if present is None:
            self.held[hold.project] = hold
        elif HoldKind.MANUAL is hold.kind or present.kind is HoldKind.AUTO:
            self.held[hold.project] = replace(hold, since=present.since) if hold.kind is present.kind else hold

    async def release(self, project: str) -> None:
        self.check("release")
        if project in self.held and self.held[project].kind is HoldKind.AUTO:
            del self.held[project]

    def resume(self, project: str) -> None:
        """What `image-relay resume` does, in another process."""
        del self.held[project]

    async def quotas(self, now: datetime) -> Mapping[str, datetime]:
        self.check("quotas")
        return {credential: until for credential, until in self.blocked.items() if until > now}

    async def block(self, credential: str, until: datetime) -> None:
        self.check("block")
        self.blocked[credential] = max(until, self.blocked.get(credential, until))


class MemoryTokens(Trouble):
    """Stored tokens."""

    def __init__(self, tokens: Iterable[StoredToken] = ()) -> None:
        super().__init__()
        self.stored: dict[tuple[TokenScope, str], StoredToken] = {(one.scope, one.name): one for one in tokens}
        self.reads = 0

    async def list(self) -> Sequence[StoredToken]:
        self.check("list")
        self.reads += 1
        return list(self.stored.values())


def _as_it_was(purge: Purge) -> Settlement:
    return Settlement(
        purge=purge,
        state=PurgeState.PENDING,
        last_error=purge.last_error,
        due_at=purge.due_at,
        failing_since=purge.failing_since,
    )
