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
