"""What the store says of the state of things, for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from service.domain.errors import StoreUnavailable
from service.domain.lookups import Failing
from service.observability.metrics import Gauge

_SECONDS = 2.0  # that the store may take; a scrape has to end

COUNTED_EVERY = timedelta(minutes=10)
"""How old the number of remembered assets may become."""


class Backlog(Protocol):
    """How many purges of a project are in a state, and since when the oldest is there."""

    @property
    def project(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def purges(self) -> int: ...
    @property
    def oldest(self) -> datetime: ...


class Purges(Protocol):
    """Raises StoreUnavailable."""

    async def backlog(self) -> Sequence[Backlog]: ...


class Board(Protocol):
    """The projects that wait; raises StoreUnavailable."""

    async def holds(self) -> Mapping[str, object]: ...


class Lookups(Protocol):
    """The sources whose lookups fail; raises StoreUnavailable."""

    async def failing(self) -> Sequence[Failing]: ...


class Assets(Protocol):
    """Raises StoreUnavailable."""

    async def remembered(self) -> int: ...


class AssetCount:
    """How many assets are remembered, about: asked for beside a scrape and kept for a while, since to count a large
    table takes longer than a scrape may. Of PostgreSQL it is the planner's estimate, of SQLite a count that ends at a
    million."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._asked_at: datetime | None = None
        self._asking: asyncio.Task[None] | None = None
        self._count: int | None = None

    def gauge(self, now: datetime) -> Gauge:
        """What is known by now: nothing at the very first time."""
        if self._asking is None and (self._asked_at is None or now - self._asked_at >= COUNTED_EVERY):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())
        values: Sequence[tuple[tuple[str, ...], float]] = [] if self._count is None else [((), float(self._count))]
        return Gauge("relay_assets", "Assets whose URLs are remembered; about, and minutes old.", (), values)

    async def _ask(self) -> None:
        try:
            self._count = await self._assets.remembered()
        except StoreUnavailable:
            self._asked_at = None
        finally:
            self._asking = None

    async def close(self) -> None:
        """Let go of a question that is under way."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})


async def gauges(
    purges: Purges, board: Board, lookups: Lookups, projects: Sequence[str], now: datetime
) -> Sequence[Gauge]:
    """Of every project, also those with nothing to tell. A store that does not answer is a value too."""
    try:
        async with asyncio.timeout(_SECONDS):
            backlog, held, failing = await purges.backlog(), await board.holds(), await lookups.failing()
    except (StoreUnavailable, TimeoutError):
        return [_up(0)]
    counted = {(one.project, str(one.state)): float(one.purges) for one in backlog}
    waits = {one.project: (now - one.oldest) / timedelta(seconds=1) for one in backlog if one.state == "pending"}
    return [
        _up(1),
        Gauge(
            "relay_purges",
            "Purges that are not finished, or dead.",
            ("project", "state"),
            [
                ((project, state), counted.get((project, state), 0.0))
                for project in sorted({*projects, *(one.project for one in backlog)})
                for state in ("pending", "claimed", "dead")
            ],
        ),
        Gauge(
            "relay_oldest_pending_purge_age_seconds",
            "How long the oldest pending purge has been waiting.",
            ("project",),
            [((project,), max(0.0, waits.get(project, 0.0))) for project in projects],
        ),
        Gauge(
            "relay_project_held",
            "1 where a project is on hold.",
            ("project",),
            [((project,), float(project in held)) for project in projects],
        ),
        Gauge(
            "relay_failing_lookups",
            "Lookups of URLs that wait for another try.",
            ("source",),
            [((one.source,), float(one.lookups)) for one in failing],
        ),
    ]


def _up(value: float) -> Gauge:
    return Gauge("relay_store_up", "1 where the store answers.", (), [((), value)])
