"""What taking in a webhook needs of the store and of the network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from service.domain.events import AssetEvent
from service.domain.memory import AssetMemory
from service.domain.purges import ReceiptStatus
from service.domain.receipts import NewReceipt, PlannedEvent, Receipt
from service.domain.requests import Greeting

Planner = Callable[[AssetEvent, AssetMemory | None], PlannedEvent]


class Stored(Protocol):
    """How a receipt was stored: `status` is `duplicate` where an earlier receipt `id` holds the event."""

    @property
    def id(self) -> str: ...
    @property
    def status(self) -> ReceiptStatus: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def purges(self) -> int: ...
    @property
    def planned(self) -> Sequence[PlannedEvent]: ...
    @property
    def lookups(self) -> bool: ...


class Inbox(Protocol):
    """Where receipts go. Every method may raise StoreUnavailable, or give it back."""

    def accept(
        self, verified: Sequence[tuple[NewReceipt, Sequence[AssetEvent], Planner]]
    ) -> Awaitable[Sequence[Stored | Exception]]:
        """Commit each receipt with its purges and the assets' memory in one transaction, which it may share with
        others; what each came to, in order."""
        ...

    async def replan(self, receipt: Receipt, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Stored:
        """Apply the present rules to a stored receipt."""
        ...

    async def keep(self, new: NewReceipt, newest: int) -> None:
        """Store a request that was not accepted; of its source's refused ones only the `newest` stay."""
        ...


class Network(Protocol):
    """The two requests that verification may take. Both go only to URLs a provider built or checked."""

    async def key(self, url: str, now: datetime) -> bytes:
        """Published keys or a certificate, from the cache while they are fresh; raises KeyUnavailable."""
        ...

    async def newer_key(self, url: str, now: datetime) -> bytes | None:
        """The same fetched anew, None where that was done a moment ago; raises KeyUnavailable."""
        ...

    async def confirm(self, url: str) -> None:
        """Visit a URL that confirms a subscription; raises KeyUnavailable unless it answered 2xx."""
        ...


class Meter(Protocol):
    """Counts how requests end."""

    def webhook(self, source: str, verdict: str, reason: str | None, seconds: float) -> None: ...


class Span(Protocol):
    """A request's part of a trace."""

    @property
    def traceparent(self) -> str | None:
        """What the store keeps of it; None where the trace is not recorded."""
        ...

    def commit(self) -> AbstractContextManager[None]:
        """The time until it is on disk."""
        ...

    def end(self, *, status: int, verdict: str, reason: str | None, receipt: str | None, purges: int) -> None:
        """The answer is known."""
        ...


class Tracer(Protocol):
    """Follows requests. Never fails."""

    def webhook(self, source: str, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Span: ...


class StoreWatch(Protocol):
    """Who is told how writing to the store went: readiness depends on it."""

    def store_works(self) -> None: ...
    def store_failed(self, reason: str, now: datetime) -> None: ...


class Answer(Struct, frozen=True, kw_only=True):
    """How a webhook ended: what the sender gets (never why it was refused), and what the log says of it.

    `status` is HTTP's. `verdict` is the receipt's status, or `unavailable` where nothing was stored. `reason` is a
    machine's word for a refusal, `detail` a person's. `challenge` is the `WWW-Authenticate` of a 401,
    `challenge_answer` the JSON that a verified handshake asks for, `greeting` the answer to one that comes before it.
    """

    status: int
    verdict: str
    receipt: str | None = None
    reason: str | None = None
    detail: str | None = None
    challenge: str | None = None
    challenge_answer: bytes | None = None
    greeting: Greeting | None = None
    purges: int = 0
    scheme: str | None = None
