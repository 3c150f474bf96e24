"""A dispatcher on a store in memory, with a scripted Vercel on the far side."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from service.dispatch.credentials import Credentials
from service.dispatch.ports import Caller, Lanes, Opener
from service.dispatch.resolving import Resolving
from service.dispatch.supervisor import Dispatcher
from service.domain.batches import Batch
from service.domain.clock import EPOCH
from service.domain.errors import VaultError
from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Purge
from service.domain.secret import Secret
from service.observability.tally import Tally
from service.settings.model import Dispatch, Project
from service.store.lanes import LockedLanes
from support.memory_lookups import MemoryLookups, PlainAsking, ScriptedApi
from support.memory_store import MemoryBoard, MemoryQueue, MemoryTokens
from support.virtual_time import START, clock

TOKEN = Secret("vcp_fakefakefake0123456789")
OTHER_TOKEN = Secret("vcp_otherfakeother0123456789")

DONE = Outcome(kind=OutcomeKind.DONE, status=200, reason="200 OK")
DOWN = Outcome(kind=OutcomeKind.TRANSIENT, status=503, reason="503 Service Unavailable")
INVALID = Outcome(kind=OutcomeKind.INVALID, status=400, reason="400 Bad Request: no such image")
FORBIDDEN = Outcome(kind=OutcomeKind.CREDENTIAL, status=403, reason="403 Forbidden: Not authorized")
MISSING = Outcome(kind=OutcomeKind.BLOCKED, status=404, reason="404 Not Found: project unknown")


def limited(until: datetime) -> Outcome:
    """429 until this moment."""
    return Outcome(
        kind=OutcomeKind.TRANSIENT, status=429, reason="429 Too Many Requests", retry_at=until, quota_until=until
    )


@dataclass(frozen=True, slots=True)
class Call:
    """One call as Vercel saw it; `at` is in seconds since the start."""

    at: float
    project: str
    images: tuple[str, ...]
    token: Secret
    batch: Batch[Purge]


Answer = Callable[[Call], Outcome | BaseException]


@dataclass
class ScriptedCaller:
    """Answers with `answer`, after `seconds`; `busy` is the number of calls under way, `busiest` the most ever."""

    answer: Answer = lambda _: DONE
    seconds: float = 0.05
    calls: list[Call] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    async def purge(self, batch: Batch[Purge], token: Secret) -> Outcome:
        call = Call((clock() - START) / timedelta(seconds=1), batch.project, tuple(batch.images), token, batch)
        self.calls.append(call)
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await asyncio.sleep(self.seconds)
            answer = self.answer(call)
        finally:
            self.busy -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def of(self, project: str) -> list[Call]:
        return [call for call in self.calls if call.project == project]

    @property
    def sizes(self) -> list[int]:
        return [len(call.images) for call in self.calls]

    @property
    def images(self) -> list[str]:
        return [image for call in self.calls for image in call.images]


class PlainOpener:
    """A vault whose ciphertext is the token; nothing opens `locked`."""

    def decrypt(self, ciphertext: bytes) -> Secret:
        if ciphertext == b"locked":
            raise VaultError("no key in vault.keys opens this token")
        return Secret(ciphertext.decode())


class Bench:
    """Everything around one dispatcher. Make it inside the loop."""

    def __init__(
        self,
        *projects: str,
        concurrency: int = 4,
        settings: Dispatch | None = None,
        caller: Caller | None = None,
        lead: Callable[[], bool] = lambda: True,
        lanes: Lanes | None = None,
        seed: int = 2026,
        configured: dict[str, Project] | None = None,
        looking_up: Mapping[str, PlainAsking] | None = None,
    ) -> None:
        names: Sequence[str] = projects or ("shop",)
        self.projects = configured or {
            name: Project(project=f"my-{name}", token=TOKEN, concurrency=concurrency) for name in names
        }
        self.queue = MemoryQueue(clock)
        self.board = MemoryBoard()
        self.tokens = MemoryTokens()
        self.vercel = ScriptedCaller()
        opener: Opener = PlainOpener()
        self.random = random.Random(seed)  # noqa: S311 - the same in every run
        self.lookups = MemoryLookups()
        self.api = ScriptedApi()
        resolving = Resolving(
            lookups=self.lookups,
            getter=self.api,
            sources=looking_up or {},
            clock=clock,
            random=self.random.random,
            settings=settings or Dispatch(),
            worker="test:1",
        )
        self.tally = Tally()
        self.dispatcher = Dispatcher(
            meter=self.tally,
            queue=self.queue,
            board=self.board,
            credentials=Credentials(self.projects, self.tokens, opener, clock),
            caller=caller or self.vercel,
            clock=clock,
            random=self.random.random,
            settings=settings or Dispatch(),
            projects=self.projects,
            lanes=lanes or LockedLanes(lead),
            worker="test:1",
            resolving=None if looking_up is None else resolving,
        )

    def look_up(self, source: str, *assets: str) -> list[str]:
        """Webhooks with ids alone come in: stored, and the dispatcher is told."""
        ids = self.lookups.add(source, *assets)
        self.dispatcher.wake_lookups(source)
        return ids

    def add(self, project: str, *images: str, **more: Any) -> list[str]:
        """Webhooks come in: stored, and the dispatcher is told."""
        ids = self.queue.add(project, *images, **more)
        self.dispatcher.wake({project: EPOCH})
        return ids

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """The dispatcher at work until the end of the block."""
        task = asyncio.create_task(self.dispatcher.run())
        await asyncio.sleep(0)
        try:
            yield task
        finally:
            await self.dispatcher.stop(0)
            with suppress(asyncio.CancelledError):
                await task


def names(count: int, prefix: str = "") -> list[str]:
    """Images."""
    return [f"https://img.example.com/{prefix}{number}.jpg" for number in range(count)]
