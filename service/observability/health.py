"""Whether the relay can do its work: what `/readyz` says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from service.domain.clock import Clock, system_clock
from service.domain.errors import StoreUnavailable
from service.domain.holds import Hold
from service.domain.lookups import Failing

T = TypeVar("T")

_PING_SECONDS = 2.0
_REMEMBERED = timedelta(seconds=15)  # how long a failed write counts, if no other write says better


class Store(Protocol):
    """Runs a reading job; raises StoreUnavailable."""

    async def read(self, job: Callable[[Any], T]) -> T: ...


class Dispatcher(Protocol):
    """Whether purges are being sent, or would be if another process stopped leading."""

    def alive(self) -> bool: ...


class Board(Protocol):
    """The projects that wait; raises StoreUnavailable."""

    async def holds(self) -> Mapping[str, Hold]: ...


class Lookups(Protocol):
    """The sources whose URLs cannot be looked up at the moment; raises StoreUnavailable."""

    async def failing(self) -> Sequence[Failing]: ...


class Report(Struct, frozen=True):
    """`reasons` are why the relay is not ready, none if it is; `warnings` are for an operator and change nothing."""

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return not self.reasons


class Health:
    """Ready is: the store reads, the last write did not just fail, and the dispatcher runs.

    `board` adds a warning for every project on hold: that is a project's trouble, not the relay's. `lookups` does so
    for every source whose lookups fail. `standing` are the warnings that hold for as long as the configuration does.
    """

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher,
        board: Board | None = None,
        clock: Clock = system_clock,
        standing: Sequence[str] = (),
        *,
        lookups: Lookups | None = None,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._board = board
        self._clock = clock
        self._standing = tuple(standing)
        self._lookups = lookups
        self._failure: tuple[datetime, str] | None = None

    def store_works(self) -> None:
        """A webhook was committed."""
        self._failure = None

    def store_failed(self, reason: str, now: datetime) -> None:
        """A webhook could not be committed."""
        self._failure = now, reason

    async def check(self) -> Report:
        """A look at everything, within two seconds; never raises for the store's sake."""
        reasons: list[str] = []
        warnings: tuple[str, ...] = ()
        try:
            async with asyncio.timeout(_PING_SECONDS):
                warnings = await self._ask_store()
        except StoreUnavailable as error:
            reasons.append(str(error))
        except TimeoutError:
            reasons.append(f"the store did not answer within {_PING_SECONDS:g} s")
        if self._failure is not None and self._clock() - self._failure[0] < _REMEMBERED:
            reasons.append(self._failure[1])
        if not self._dispatcher.alive():
            reasons.append("the dispatcher has stopped: purges are stored, but not sent")
        return Report(tuple(dict.fromkeys(reasons)), (*self._standing, *warnings))

    async def _ask_store(self) -> tuple[str, ...]:
        await self._store.read(lambda tx: tx.one("get_receipt", id=""))
        holds = {} if self._board is None else await self._board.holds()
        failing = [] if self._lookups is None else await self._lookups.failing()
        held = (f"project {hold.project} is on hold: {hold.reason}" for hold in holds.values())
        waiting = (f"source {one.source}: {one.lookups} of its lookups fail for now: {one.reason}" for one in failing)
        return (*held, *waiting)
