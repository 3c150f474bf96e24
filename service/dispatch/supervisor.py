"""The dispatcher: leads if no other process does, then runs a lane for each project."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from service.dispatch.credentials import Credentials
from service.dispatch.delivery import Delivery
from service.dispatch.gate import Gate
from service.dispatch.lane import Lane, LaneStatus
from service.dispatch.limits import Random
from service.dispatch.lookup_lane import LookupLane
from service.dispatch.notices import Notices
from service.dispatch.ports import Board, Caller, Queue
from service.dispatch.resolving import Resolving
from service.dispatch.slots import Slots
from service.dispatch.waiting import insist, pause
from service.domain.clock import Clock
from service.domain.errors import StoreUnavailable
from service.settings.model import Dispatch, Project

log = structlog.get_logger()

LOOK_EVERY = 1.0  # seconds between looks for what other processes did
GRACE_SECONDS = 8.0
_ORPHANS_EVERY = timedelta(minutes=1)


class Role(StrEnum):
    """`standby` waits for another process to stop leading: that is healthy."""

    STOPPED = "stopped"
    STANDBY = "standby"
    LEADING = "leading"


@dataclass(frozen=True, slots=True)
class Status:
    """What the dispatcher is doing; the lanes are those of the leader, by project."""

    role: Role
    lanes: Mapping[str, LaneStatus]


class Dispatcher:
    """Sends what is due. `lead` tells whether this process is the one that may; `worker` names it in the store;
    `resolving` looks up URLs first, where there are sources that need it."""

    def __init__(
        self,
        *,
        queue: Queue,
        board: Board,
        credentials: Credentials,
        caller: Caller,
        clock: Clock,
        random: Random,
        settings: Dispatch,
        projects: Mapping[str, Project],
        lead: Callable[[], bool],
        worker: str,
        resolving: Resolving | None = None,
    ) -> None:
        self._queue = queue
        self._resolving = resolving
        self._notices = Notices(board, clock)
        self._credentials = credentials
        self._caller = caller
        self._clock = clock
        self._random = random
        self._settings = settings
        self._projects = projects
        self._try_lead = lead
        self._worker = worker
        self._max_age = timedelta(seconds=settings.max_age)
        self._slots = Slots(settings.concurrency, len(projects))
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._role = Role.STOPPED
        self._lanes: Mapping[str, Lane] = {}
        self._orphans: dict[str, datetime] = {}
        self._store_fails = False

    async def run(self) -> None:
        """Until `stop`; cancelling it ends calls under way, whose purges are taken up at the next start."""
        self._task = asyncio.current_task()
        try:
            while not self._stopping.is_set():
                self._role = Role.STANDBY
                try:
                    await self._serve()
                except Exception:
                    log.exception("dispatch.crashed")
                    await pause(self._stopping, LOOK_EVERY)
        finally:
            self._role = Role.STOPPED
            self._lanes = {}
            self._task = None

    async def stop(self, seconds: float = GRACE_SECONDS) -> None:
        """Claim nothing more, give the calls under way so many seconds to end, then cut them short."""
        self._stopping.set()
        for lane in self._lanes.values():
            lane.wake()
        if self._resolving is not None:
            self._resolving.wake_all()
        task = self._task
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)
            task.cancel()
            await asyncio.wait({task})

    def wake(self, due: Mapping[str, datetime]) -> None:
        """These projects have new purges, the first of them due then; for the loop that runs the dispatcher."""
        for project, moment in due.items():
            lane = self._lanes.get(project)
            if lane is not None:
                lane.wake(moment)

    def wake_lookups(self, source: str) -> None:
        """The source has URLs to look up; for the loop that runs the dispatcher."""
        if self._resolving is not None:
            self._resolving.wake(source)

    def alive(self) -> bool:
        """Whether it leads or stands by to lead."""
        return self._role is not Role.STOPPED

    def status(self) -> Status:
        """A look from outside, without the store."""
        return Status(self._role, {project: lane.status() for project, lane in self._lanes.items()})

    async def _serve(self) -> None:
        if not await self._elected():
            return
        try:
            recovered = await insist(self._recover, "recovering purges", stopping=self._stopping, random=self._random)
        except StoreUnavailable:  # and the relay stops: the next start does it
            return
        self._lanes = {project: self._lane(project) for project in self._projects}
        self._role = Role.LEADING
        log.info("dispatch.leading", projects=len(self._lanes), recovered=recovered)
        async with asyncio.TaskGroup() as group:
            for project, lane in self._lanes.items():
                group.create_task(lane.run(), name=f"lane {project}")
            for source, lookups in self._lookup_lanes().items():
                group.create_task(lookups.run(), name=f"lookups {source}")
            group.create_task(self._watch(), name="dispatch watch")

    async def _recover(self) -> int:
        looked_up = 0 if self._resolving is None else await self._resolving.recover()
        return looked_up + await self._queue.recover()

    def _lookup_lanes(self) -> Mapping[str, LookupLane]:
        return {} if self._resolving is None else self._resolving.lanes(self._stopping, self.wake)

    async def _elected(self) -> bool:
        """Waits for its turn to lead; false when stopped before."""

        async def ask() -> bool:
            return self._try_lead()

        while not self._stopping.is_set():
            try:
                if await insist(ask, "asking who leads", stopping=self._stopping, random=self._random):
                    return True
            except StoreUnavailable:  # and the relay stops
                return False
            await pause(self._stopping, LOOK_EVERY)
        return False

    def _lane(self, project: str) -> Lane:
        gate = Gate(
            project=project,
            concurrency=self._projects[project].concurrency,
            notices=self._notices,
            credentials=self._credentials,
            clock=self._clock,
            random=self._random,
            probe_every=timedelta(seconds=self._settings.probe_every),
        )
        delivery = Delivery(
            queue=self._queue,
            caller=self._caller,
            gate=gate,
            clock=self._clock,
            random=self._random,
            max_age=self._max_age,
            stopping=self._stopping,
        )
        return Lane(
            project=project,
            queue=self._queue,
            gate=gate,
            delivery=delivery,
            slots=self._slots,
            clock=self._clock,
            random=self._random,
            worker=self._worker,
            stopping=self._stopping,
        )

    async def _watch(self) -> None:
        """Sees every second what other processes and operators did."""
        while not self._stopping.is_set():
            try:
                await self._look_around()
                self._store_fails = False
            except StoreUnavailable as error:
                if not self._store_fails:
                    log.warning("store.unavailable", doing="looking for new purges", reason=str(error))
                self._store_fails = True
            except Exception:
                log.exception("dispatch.watch_crashed")
            await pause(self._stopping, LOOK_EVERY)

    async def _look_around(self) -> None:
        pending = await self._queue.projects()
        for project, lane in self._lanes.items():
            if lane.watching or project in pending:
                lane.wake()
        for project in pending:
            if project not in self._lanes:
                await self._tend_orphans(project)
        if self._resolving is not None:
            await self._resolving.look_around()

    async def _tend_orphans(self, project: str) -> None:
        """Warns once of purges whose project is not configured, and ends those older than any purge may become."""
        now = self._clock()
        if project not in self._orphans:
            log.warning(
                "project.unknown",
                project=project,
                remedy="put it back into relay.yaml, or drop its purges with `image-relay purges drop`",
            )
        elif now < self._orphans[project]:
            return
        self._orphans[project] = now + _ORPHANS_EVERY
        reason = f"the project {project} is not in relay.yaml: put it back and run `image-relay purges retry`"
        buried = await self._queue.bury_orphans(project, now - self._max_age, now, reason)
        if buried:
            log.warning("project.buried", project=project, images=buried, reason=reason)
