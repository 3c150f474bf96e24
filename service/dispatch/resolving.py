"""The lookups of all sources: one lane a source, and one pace a host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from service.dispatch.answers import Answers
from service.dispatch.limits import Pace, Random
from service.dispatch.lookup_lane import LookupLane
from service.dispatch.ports import Asking, Getter, Lookups
from service.dispatch.tenure import Tenure
from service.domain.clock import Clock
from service.domain.log import log
from service.settings.model import Dispatch

Wake = Callable[[Mapping[str, datetime]], None]

_ORPHANS_EVERY = timedelta(minutes=1)


class Host(Struct):
    """How fast requests to one API may follow each other, whichever source makes them."""

    pace: Pace = Pace()


class Resolving:
    """Makes the lanes, and looks after what belongs to none of them."""

    def __init__(
        self,
        *,
        lookups: Lookups,
        getter: Getter,
        sources: Mapping[str, Asking],
        clock: Clock,
        random: Random,
        settings: Dispatch,
        worker: str,
    ) -> None:
        self._lookups = lookups
        self._getter = getter
        self._sources = {name: asking for name, asking in sources.items() if asking.resolver is not None}
        self._clock = clock
        self._random = random
        self._settings = settings
        self._worker = worker
        self._lanes: dict[str, LookupLane] = {}
        self._hosts: dict[str, Host] = {}
        self._answers = Answers()
        self._orphans: dict[str, datetime] = {}

    @property
    def sources(self) -> Collection[str]:
        """Those that look URLs up."""
        return self._sources.keys()

    async def recover(self, source: str) -> int:
        """Put back what the source's former process had claimed; raises StoreUnavailable."""
        return await self._lookups.recover(source)

    def lane(self, source: str, stopping: asyncio.Event, tenure: Tenure, wake: Wake) -> LookupLane:
        """A new lane; `wake` is told which projects have new purges."""
        asking = self._sources[source]
        host = "" if asking.resolver is None else asking.resolver.host
        lane = self._lanes[source] = LookupLane(
            source=source,
            asking=asking,
            host=self._hosts.setdefault(host, Host()),
            lookups=self._lookups,
            getter=self._getter,
            answers=self._answers,
            clock=self._clock,
            random=self._random,
            settings=self._settings,
            worker=self._worker,
            stopping=stopping,
            tenure=tenure,
            wake=wake,
        )
        return lane

    def wake(self, source: str) -> None:
        """The source has a new lookup."""
        lane = self._lanes.get(source)
        if lane is not None:
            lane.wake()

    async def look_around(self) -> None:
        """Sees what other processes did; raises StoreUnavailable."""
        for source in await self._lookups.sources():
            if source in self._lanes:
                self._lanes[source].wake()
            elif source not in self._sources:
                await self._tend_orphans(source)

    async def _tend_orphans(self, source: str) -> None:
        """Warns once of lookups whose source looks nothing up any more, and ends those that are too old."""
        now = self._clock()
        remedy = "put the source and its `resolve` back into relay.yaml, and replay the receipts"
        if source not in self._orphans:
            log.warning("lookup.unknown_source", source=source, remedy=remedy)
        elif now < self._orphans[source]:
            return
        self._orphans[source] = now + _ORPHANS_EVERY
        before = now - timedelta(seconds=self._settings.max_age)
        reason = f"the source {source} has no `resolve` in relay.yaml: {remedy}"
        if buried := await self._lookups.bury_orphans(source, before, now, reason):
            log.warning("lookup.buried", source=source, lookups=buried, reason=reason)
