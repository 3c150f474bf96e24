"""What dispatching needs of the store and of Vercel, as far as it needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from service.domain.attempts import Attempt, Settlement
from service.domain.batches import Batch
from service.domain.events import AssetEvent
from service.domain.holds import Hold
from service.domain.lookups import Fetched, Lookup, LookupEnd, LookupSettlement
from service.domain.memory import AssetMemory
from service.domain.outcomes import Outcome
from service.domain.purges import Purge
from service.domain.receipts import PlannedEvent, Receipt
from service.domain.secret import Secret
from service.domain.tokens import StoredToken


class Queue(Protocol):
    """The purges that wait. Every method may raise StoreUnavailable."""

    async def recover(self, project: str) -> int:
        """Put back what the project's former process had claimed, merging as `settle` does; how many."""
        ...

    async def projects(self) -> Sequence[str]:
        """The projects that have pending purges, configured or not."""
        ...

    async def next_due_at(self, project: str) -> datetime | None:
        """When the project's next pending purge is due, None where none is pending."""
        ...

    async def claim(self, project: str, worker: str, now: datetime, limit: int) -> Sequence[Purge]:
        """Take up to `limit` due purges of one action and one deadline, oldest due first; none of an image that is in
        a call already."""
        ...

    async def settle(self, attempt: Attempt, purges: Sequence[Purge], settlements: Sequence[Settlement]) -> None:
        """Record the attempt for `purges` and what becomes of those that have a settlement, in one transaction.

        One put back while a newer one of its image waits is merged into that and ends superseded.
        """
        ...

    async def release(self, purges: Sequence[Purge]) -> None:
        """Put claimed purges back as they were, no attempt counted: their call was never made."""
        ...

    async def bury_orphans(self, project: str, before: datetime, now: datetime, reason: str) -> int:
        """End as dead what a project that is no longer configured left pending since before `before`; how many."""
        ...


class Lanes(Protocol):
    """Who sends for which project: one process at a time. Every method may raise StoreUnavailable."""

    async def own(self, projects: Collection[str]) -> Mapping[str, float]:
        """Keep the projects this process has and take some that nobody has; for how many seconds from the moment of
        asking each is its own."""
        ...

    async def give_up(self, project: str) -> None:
        """Let another process have a project at once."""
        ...


class Board(Protocol):
    """Holds and used-up rate budgets: what an operator and every other process may see."""

    async def holds(self) -> Mapping[str, Hold]:
        """The holds by project."""
        ...

    async def hold(self, hold: Hold) -> None:
        """Set or renew a hold; a manual one is not changed by an automatic one."""
        ...

    async def release(self, project: str) -> None:
        """End an automatic hold."""
        ...

    async def quotas(self, now: datetime) -> Mapping[str, datetime]:
        """Until when each credential (by fingerprint) is out of budget."""
        ...

    async def block(self, credential: str, until: datetime) -> None:
        """Say that a credential is out of budget; an earlier, later end stays."""
        ...


class Tokens(Protocol):
    """The encrypted tokens."""

    async def list(self) -> Sequence[StoredToken]: ...


class Opener(Protocol):
    """Decrypts a stored token; raises VaultError."""

    def decrypt(self, ciphertext: bytes) -> Secret: ...


class Meter(Protocol):
    """Counts how calls and purges end."""

    def call(self, project: str, outcome: str, status: int | None, images: int, seconds: float) -> None: ...
    def quota_left(self, project: str, left: int) -> None: ...
    def finished(self, project: str, state: str, events: int, seconds: float) -> None: ...


class CallSpan(Protocol):
    """A call's part of a trace."""

    def end(self, outcome: str, status: int | None, reason: str) -> None: ...


class Tracer(Protocol):
    """Follows calls from the webhooks that asked for them. Never fails."""

    async def call(self, batch: Batch[Purge], call_id: str) -> CallSpan: ...


class Caller(Protocol):
    """Makes one call to Vercel. Every trouble on the way is an outcome, not an exception."""

    async def purge(self, batch: Batch[Purge], token: Secret) -> Outcome: ...


Planner = Callable[[AssetEvent, AssetMemory | None], PlannedEvent]


class Resolved(Protocol):
    """What the events of a lookup led to; `more` says that some are left for another step."""

    @property
    def purges(self) -> int: ...
    @property
    def planned(self) -> Sequence[PlannedEvent]: ...
    @property
    def more(self) -> bool: ...


class Lookups(Protocol):
    """The lookups that wait. Every method may raise StoreUnavailable."""

    async def recover(self, source: str) -> int:
        """Put back what the source's former process had claimed; how many."""
        ...

    async def sources(self) -> Sequence[str]:
        """The sources that have pending lookups, configured or not."""
        ...

    async def next_due_at(self, source: str) -> datetime | None:
        """When the source's next lookup is due, None where none is pending."""
        ...

    async def claim(self, source: str, worker: str, now: datetime) -> Lookup | None:
        """Take the lookup whose turn it is, none of an asset that is being asked for."""
        ...

    async def settle(self, lookup: Lookup, settlement: LookupSettlement, now: datetime) -> None:
        """Record that a claimed lookup is dead, or pending again."""
        ...

    async def resolve(
        self, lookup: Lookup, end: LookupEnd, planner_of: Callable[[Receipt], Planner], now: datetime
    ) -> Resolved:
        """Commit what the rules make of the lookup's events with the URLs found, and its end, in one transaction."""
        ...

    async def bury_orphans(self, source: str, before: datetime, now: datetime, reason: str) -> int:
        """End as dead what a source that looks nothing up any more left pending since before `before`; how many."""
        ...


class Resolver(Protocol):
    """One source's way to ask, and to read the answer."""

    @property
    def host(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, Secret]: ...

    def own(self, url: str) -> bool:
        """Whether a stored address is one that the secrets may go to."""
        ...

    def with_secrets(self, url: str) -> str:
        """The address as it is sent."""
        ...

    def found(self, body: bytes) -> tuple[str, ...]:
        """The URLs in a 200's body; raises RelayError."""
        ...

    def instead(self, url: str, status: int | None, body: bytes) -> str | None:
        """The address to ask in place of this one, where the answer names one."""
        ...


class Asking(Protocol):
    """A source that looks URLs up."""

    @property
    def resolver(self) -> Resolver | None: ...

    def planner_of(self, receipt: Receipt) -> Planner:
        """Its rules for a stored receipt; raises RelayError where that cannot be read any more."""
        ...


class Getter(Protocol):
    """Makes one GET, bounded in time and size. Every trouble on the way is a result, not an exception."""

    async def get(self, url: str, headers: Mapping[str, Secret]) -> Fetched: ...
