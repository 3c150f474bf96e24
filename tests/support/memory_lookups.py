"""The store's lookups in memory, and a scripted API on the far side, as the dispatcher knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from service.domain.clock import Clock
from service.domain.errors import RelayError
from service.domain.lookups import Fetched, Lookup, LookupEnd, LookupSettlement, LookupState
from service.domain.purges import Action, PlannedPurge
from service.domain.receipts import PlannedEvent, Receipt
from service.domain.secret import Secret
from support.memory_store import Trouble
from support.stored import Rules, event
from support.virtual_time import START, clock

Planner = Callable[..., PlannedEvent]


@dataclass(frozen=True, slots=True)
class Step:
    """What a resolved lookup led to."""

    purges: int
    planned: Sequence[PlannedEvent]
    more: bool


class MemoryLookups(Trouble):
    """Lookups by id; one that ends with URLs makes a purge for each of them, in `steps` steps."""

    def __init__(self, now: Clock = clock) -> None:
        super().__init__()
        self._now = now
        self.rows: dict[str, Lookup] = {}
        self.ends: dict[str, LookupEnd] = {}
        self.steps = 1
        self.vanishing = False

    def add(self, source: str, *assets: str, host: str = "https://api.example") -> list[str]:
        now = self._now()
        ids = []
        for asset in assets:
            lookup = Lookup(
                id=f"lkp_{len(self.rows):06}",
                source=source,
                environment=None,
                asset_id=asset,
                url=f"{host}/{asset}",
                state=LookupState.PENDING,
                due_at=now,
                created_at=now,
                changed_at=now,
            )
            self.rows[lookup.id] = lookup
            ids.append(lookup.id)
        return ids

    def states(self) -> list[str]:
        return [str(one.state) for one in self.rows.values()]

    # -- the port

    async def recover(self, source: str) -> int:
        self.check("recover")
        claimed = [one for one in self.rows.values() if one.state is LookupState.CLAIMED and one.source == source]
        for one in claimed:
            self.rows[one.id] = replace(one, state=LookupState.PENDING)
        return len(claimed)

    async def sources(self) -> Sequence[str]:
        self.check("sources")
        return sorted({one.source for one in self.rows.values() if one.state is LookupState.PENDING})

    async def next_due_at(self, source: str) -> datetime | None:
        self.check("next_due_at")
        return min((one.due_at for one in self._waiting(source)), default=None)

    async def claim(self, source: str, worker: str, now: datetime) -> Lookup | None:
        self.check("claim")
        due = sorted((one for one in self._waiting(source) if one.due_at <= now), key=lambda one: (one.due_at, one.id))
        if not due or self.vanishing:
            return None
        claimed = replace(due[0], state=LookupState.CLAIMED, attempts=due[0].attempts + 1)
        self.rows[claimed.id] = claimed
        return claimed

    async def settle(self, lookup: Lookup, settlement: LookupSettlement, now: datetime) -> None:
        self.check("settle")
        self.rows[lookup.id] = replace(
            self.rows[lookup.id],
            state=settlement.state,
            last_error=settlement.last_error,
            due_at=settlement.due_at or now,
            failing_since=settlement.failing_since,
            url=settlement.url or lookup.url,
        )

    async def resolve(
        self, lookup: Lookup, end: LookupEnd, planner_of: Callable[[Receipt], Planner], now: datetime
    ) -> Step:
        self.check("resolve")
        self.ends[lookup.id] = end
        self.steps -= 1
        if self.steps <= 0:
            self.rows[lookup.id] = replace(self.rows[lookup.id], state=end.state, last_error=end.reason)
        purge = PlannedPurge(
            project="shop", action=Action.DELETE, src_image="/a.jpg", deadline=60, settle=0, rule="r", template="t"
        )
        planned = [Rules(purge)(event(url), None) for url in end.urls]
        return Step(len(planned), planned, more=self.steps > 0)

    async def bury_orphans(self, source: str, before: datetime, now: datetime, reason: str) -> int:
        self.check("bury_orphans")
        old = [one for one in self._waiting(source) if one.created_at < before]
        for one in old:
            self.rows[one.id] = replace(one, state=LookupState.DEAD, last_error=reason)
        return len(old)

    def _waiting(self, source: str) -> list[Lookup]:
        return [one for one in self.rows.values() if one.source == source and one.state is LookupState.PENDING]


@dataclass
class ScriptedApi:
    """Answers with `answer`, after `seconds`; `calls` are the seconds since the start and the addresses."""

    answer: Callable[[float, str], Fetched | BaseException] = lambda _, __: found()
    seconds: float = 0.05
    calls: list[tuple[float, str]] = field(default_factory=list)
    headers: list[Mapping[str, Secret]] = field(default_factory=list)

    async def get(self, url: str, headers: Mapping[str, Secret]) -> Fetched:
        at = (clock() - START) / timedelta(seconds=1)
        self.calls.append((at, url))
        self.headers.append(headers)
        await asyncio.sleep(self.seconds)
        answer = self.answer(at, url)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class PlainResolver:
    """The body is the URL; a body of `?URL` says where to ask instead."""

    def __init__(self, host: str = "https://api.example") -> None:
        self.host = host
        self.headers = {"authorization": Secret("fake-token")}

    def own(self, url: str) -> bool:
        return url.startswith(f"{self.host}/")

    def with_secrets(self, url: str) -> str:
        return f"{url}?secret"

    def found(self, body: bytes) -> tuple[str, ...]:
        if body == b"garbage":
            raise RelayError("the answer is not JSON")
        if body == b"bug":
            raise ZeroDivisionError
        return (body.decode(),) if body else ()

    def instead(self, url: str, status: int | None, body: bytes) -> str | None:
        return body[1:].decode() if body.startswith(b"?") else None


class PlainAsking:
    """A source that looks URLs up, or does not."""

    def __init__(self, resolver: PlainResolver | None) -> None:
        self.resolver = resolver

    def planner_of(self, receipt: Receipt) -> Planner:
        raise AssertionError("the store in memory reads no receipts")


def found(url: str = "https://img.example.com/a.jpg") -> Fetched:
    return Fetched(status=200, reason="200 OK", body=url.encode())


def failed(status: int | None, reason: str = "", retry_at: datetime | None = None) -> Fetched:
    return Fetched(status=status, reason=reason or f"{status}", retry_at=retry_at)
