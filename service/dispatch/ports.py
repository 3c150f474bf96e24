"""What dispatching needs of the store and of Vercel, as far as it needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from service.domain.attempts import Attempt, Settlement
from service.domain.batches import Batch
from service.domain.holds import Hold
from service.domain.outcomes import Outcome
from service.domain.purges import Purge
from service.domain.secret import Secret
from service.domain.tokens import StoredToken


class Queue(Protocol):
    """The purges that wait. Every method may raise StoreUnavailable."""

    async def recover(self) -> int:
        """Put back what a dead process had claimed, merging as `settle` does; how many."""
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


class Caller(Protocol):
    """Makes one call to Vercel. Every trouble on the way is an outcome, not an exception."""

    async def purge(self, batch: Batch[Purge], token: Secret) -> Outcome: ...
