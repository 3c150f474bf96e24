"""The dispatcher: runs a lane for each project that is this process's to send for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from service.dispatch.credentials import Credentials
from service.dispatch.delivery import Delivery
from service.dispatch.gate import Gate
from service.dispatch.lane import Lane, LaneStatus
from service.dispatch.limits import Random
from service.dispatch.lookup_lane import LookupLane
from service.dispatch.notices import Notices
from service.dispatch.ports import Board, Caller, Lanes, Meter, Queue, Tracer
from service.dispatch.resolving import Resolving
from service.dispatch.slots import Slots
from service.dispatch.tenure import Tenure
from service.dispatch.waiting import pause
from service.domain.clock import Clock
from service.domain.errors import StoreUnavailable
from service.domain.log import log
from service.settings.model import Dispatch, Project

LOOK_EVERY = 1.0  # seconds between looks for what other processes did
GRACE_SECONDS = 8.0
_ORPHANS_EVERY = timedelta(minutes=1)
_LOOKUPS = "lookups/"  # what the lanes of sources are called, among those of projects: no project's name has a slash
_MARGIN = 2.0  # seconds a call may take beyond its time-out until its end is known


class Role(StrEnum):
    """`standby` has no project of its own, since other processes have them all: that is healthy."""

    STOPPED = "stopped"
    STANDBY = "standby"
    LEADING = "leading"


class Status(Struct, frozen=True):
    """What the dispatcher is doing; the lanes are its own, by project."""

    role: Role
    lanes: Mapping[str, LaneStatus]


class _Running(Struct, frozen=True):
    """A lane, for how long it may go on, and how it is told to end."""

    lane: Lane | LookupLane
    tenure: Tenure
    stopping: asyncio.Event

    def end(self) -> None:
        """Begin no call any more."""
        self.stopping.set()
        self.lane.wake()


class Dispatcher:
    """Sends what is due. `lanes` tells for which projects this process may; `worker` names it in the store; `resolving`
    looks up URLs first, where there are sources that need it."""

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
        lanes: Lanes,
        worker: str,
        meter: Meter,
        resolving: Resolving | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._queue = queue
        self._meter = meter
        self._resolving = resolving
        self._notices = Notices(board, clock)
        self._credentials = credentials
        self._caller = caller
        self._clock = clock
        self._random = random
        self._settings = settings
        self._projects = projects
        self._owners = lanes
        self._worker = worker
        self._max_age = timedelta(seconds=settings.max_age)
        self._slots = Slots(settings.concurrency, len(projects))
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._role = Role.STOPPED
        self._lanes: dict[str, _Running] = {}
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
        for running in self._lanes.values():
            running.end()
        task = self._task
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)
            task.cancel()
            await asyncio.wait({task})

    def wake(self, due: Mapping[str, datetime]) -> None:
        """These projects have new purges, the first of them due then; for the loop that runs the dispatcher."""
        for project, moment in due.items():
            running = self._lanes.get(project)
            if running is not None and isinstance(running.lane, Lane):
                running.lane.wake(moment)

    def wake_lookups(self, source: str) -> None:
        """The source has URLs to look up; for the loop that runs the dispatcher."""
        if self._resolving is not None:
            self._resolving.wake(source)

    def alive(self) -> bool:
        """Whether it leads or stands by to lead."""
        return self._role is not Role.STOPPED

    def status(self) -> Status:
        """A look from outside, without the store."""
        lanes = {name: running.lane for name, running in self._lanes.items()}
        return Status(self._role, {name: lane.status() for name, lane in lanes.items() if isinstance(lane, Lane)})

    async def _serve(self) -> None:
        """Every second, takes and gives up lanes, and looks for what other processes and operators did."""
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                try:
                    await self._share_out(group)
                    await self._look_around()
                    self._store_fails = False
                except StoreUnavailable as error:
                    if not self._store_fails:
                        log.warning("store.unavailable", doing="looking for new purges", reason=str(error))
                    self._store_fails = True
                except Exception:
                    log.exception("dispatch.watch_crashed")
                await pause(self._stopping, LOOK_EVERY)
            for running in self._lanes.values():
                running.end()

    async def _share_out(self, group: asyncio.TaskGroup) -> None:
        asked = asyncio.get_running_loop().time()
        sources = () if self._resolving is None else self._resolving.sources
        owned = await self._owners.own([*self._projects, *(_LOOKUPS + source for source in sources)])
        for name, running in self._lanes.items():
            if name in owned:
                running.tenure.renew(asked, owned[name])
            else:
                running.end()
        for name in owned.keys() - self._lanes.keys():
            tenure = Tenure()
            tenure.renew(asked, owned[name])
            # Whoever had it has died or given it up: its calls are over, and what it had claimed is not.
            recovered = await self._recover(name)
            running = self._lanes[name] = self._running(name, tenure)
            log.info("dispatch.lane", lane=name, recovered=recovered)
            group.create_task(self._run(name, running), name=f"lane {name}")
        self._role = Role.LEADING if self._lanes else Role.STANDBY

    async def _recover(self, name: str) -> int:
        if self._resolving is not None and name.startswith(_LOOKUPS):
            return await self._resolving.recover(name.removeprefix(_LOOKUPS))
        return await self._queue.recover(name)

    async def _run(self, name: str, running: _Running) -> None:
        """A lane to its end, and then others may have it."""
        try:
            await running.lane.run()
        finally:
            del self._lanes[name]
        try:
            await self._owners.give_up(name)
        except StoreUnavailable as error:  # its tenure ends by itself
            log.warning("store.unavailable", doing="giving a lane up", lane=name, reason=str(error))

    def _running(self, name: str, tenure: Tenure) -> _Running:
        stopping = asyncio.Event()
        if self._resolving is not None and name.startswith(_LOOKUPS):
            lookups = self._resolving.lane(name.removeprefix(_LOOKUPS), stopping, tenure, self.wake)
            return _Running(lookups, tenure, stopping)
        return _Running(self._lane(name, tenure, stopping), tenure, stopping)

    def _lane(self, project: str, tenure: Tenure, stopping: asyncio.Event) -> Lane:
        call_seconds = self._settings.timeout + _MARGIN
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
            project=project,
            meter=self._meter,
            queue=self._queue,
            caller=self._caller,
            gate=gate,
            clock=self._clock,
            random=self._random,
            max_age=self._max_age,
            stopping=stopping,
            tenure=tenure,
            call_seconds=call_seconds,
            tracer=self._tracer,
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
            stopping=stopping,
            tenure=tenure,
            call_seconds=call_seconds,
        )

    async def _look_around(self) -> None:
        pending = await self._queue.projects()
        for name, running in self._lanes.items():
            if isinstance(running.lane, Lane) and (running.lane.watching or name in pending):
                running.lane.wake()
        for project in pending:
            if project not in self._projects:
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
