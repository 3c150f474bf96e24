"""The only place that builds the parts and joins them; they are closed in reverse."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from service.app import Application, Deps, create_app
from service.dispatch.credentials import Credentials
from service.dispatch.resolving import Resolving
from service.dispatch.supervisor import Dispatcher
from service.domain.clock import Clock, system_clock
from service.domain.errors import StoreUnavailable
from service.domain.log import log
from service.ingest.keeper import Keeper
from service.ingest.pipeline import Pipeline, build_pipelines, table_reader
from service.network import Network
from service.observability.gauges import AssetCount, gauges
from service.observability.health import Health
from service.observability.metrics import exposition
from service.observability.tally import SharedTally, Tally
from service.observability.tracing import telemetry
from service.outgoing import get_ready
from service.resolve.client import LookupClient
from service.settings.advice import UNVERIFIED
from service.settings.loader import Loaded
from service.settings.model import Settings
from service.store import open_store
from service.store.assets import Assets
from service.store.board import Board
from service.store.engine import Engine
from service.store.inbox import Inbox
from service.store.lookups import Lookups
from service.store.purges import Purges
from service.store.queue import Queue
from service.store.retention import Retention
from service.store.tokens import Tokens
from service.store.traces import Traces
from service.vault import Vault
from service.vercel.caller import VercelCaller
from service.vercel.client import VercelClient

if TYPE_CHECKING:
    from service.observability.traces import Telemetry

_LEASE_SECONDS = 10.0  # how long a lane is leased beyond the longest call
_READY_AFTER = 0.5  # seconds
_SHARE_EVERY = 1.0  # seconds between looks whether there are new counts for the other workers
_PRUNE_EVERY = 60.0  # seconds between looks for what is past its retention
_PRUNE_PAUSE = 0.2  # seconds between two steps, so that webhooks get in between


class Role(StrEnum):
    """What a process does: `ingest` takes in webhooks, `dispatch` sends purges, `all` does both."""

    ALL = "all"
    INGEST = "ingest"
    DISPATCH = "dispatch"


class Relay(Struct, frozen=True):
    """A running relay. `stop` takes the seconds that calls in flight may still have."""

    app: Application
    stop: Callable[[float], Coroutine[Any, Any, None]]


@asynccontextmanager
async def relay(
    loaded: Loaded,
    clock: Clock = system_clock,
    role: Role = Role.ALL,
    tallies: Path | None = None,
    commit: Callable[[], str | None] = lambda: None,
) -> AsyncIterator[Relay]:
    """Everything but the web server; raises StoreUnavailable where the store cannot be opened.

    `tallies` is the folder in which the workers of one address share their counts. `commit` tells what the release was
    made from; it is asked once somebody wants to know, and may take its time.
    """
    settings = loaded.settings
    async with AsyncExitStack() as stack:
        engine = await open_store(settings.store)
        stack.push_async_callback(engine.close)
        # The signed times of senders are held against it too: it is as right as this machine's own, or more so, and a
        # request is then verified or refused alike by every process.
        clock = engine.clock(clock)
        tally = Tally(settings.sources, settings.projects)
        engine.measure(tally.committed)
        shared = SharedTally(tally, tallies)
        tracer = telemetry(Traces(engine).of_purges, os.environ)
        if tracer is not None:
            stack.push_async_callback(tracer.close)
        parts = _Parts(
            settings=settings,
            engine=engine,
            clock=clock,
            pipelines=build_pipelines(settings, table_reader(loaded.folder)),
            board=Board(engine),
            lookups=Lookups(engine),
            tally=tally,
            tracer=tracer,
        )
        dispatcher = await _dispatcher(parts, stack)
        keeper = Keeper(Inbox(engine), settings.retention.refused)
        assets = AssetCount(Assets(engine))
        stack.push_async_callback(assets.close)
        network = await stack.enter_async_context(Network.open())
        metrics = _metrics(parts, assets, shared, commit)
        app = _app(parts, role, dispatcher, keeper=keeper, network=network, metrics=metrics)
        engine.while_committing(app.spare)
        stack.callback(app.spare)  # there is no other time left
        works = [keeper.run(), _get_ready()]
        if tallies is not None:
            works.append(_share(shared))
        if role is not Role.INGEST:
            engine.listen(lambda project: dispatcher.wake({project: clock()}))
            works += [dispatcher.run(), _prune(Retention(engine), settings, clock)]
        for work in works:
            stack.push_async_callback(_end, asyncio.create_task(work))
        stack.push_async_callback(dispatcher.stop, 0.0)
        yield Relay(app, dispatcher.stop)


class _Parts(Struct, frozen=True, kw_only=True):
    """What both sides of the relay, and those who watch it, have in common."""

    settings: Settings
    engine: Engine
    clock: Clock
    pipelines: Mapping[str, Pipeline]
    board: Board
    lookups: Lookups
    tally: Tally
    tracer: Telemetry | None


async def _dispatcher(parts: _Parts, stack: AsyncExitStack) -> Dispatcher:
    settings, engine, clock = parts.settings, parts.engine, parts.clock
    client = await stack.enter_async_context(
        VercelClient.open(read_seconds=settings.dispatch.timeout, connections=settings.dispatch.concurrency)
    )
    getter = await stack.enter_async_context(LookupClient.open(clock))
    # The last part, since two containers may be alike in all else.
    worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    return Dispatcher(
        meter=parts.tally,
        tracer=parts.tracer,
        queue=Queue(engine),
        board=parts.board,
        credentials=Credentials(settings.projects, Tokens(engine), Vault(settings.vault.keys), clock),
        caller=VercelCaller(client, settings.vercel_api, settings.projects, clock),
        clock=clock,
        random=random.random,
        settings=settings.dispatch,
        projects=settings.projects,
        lanes=engine.lanes(worker, settings.dispatch.timeout + _LEASE_SECONDS),
        worker=worker,
        resolving=Resolving(
            lookups=parts.lookups,
            getter=getter,
            sources=parts.pipelines,
            clock=clock,
            random=random.random,
            settings=settings.dispatch,
            worker=worker,
        ),
    )


def _metrics(
    parts: _Parts, assets: AssetCount, shared: SharedTally, commit: Callable[[], str | None]
) -> Callable[[], Awaitable[bytes]]:
    built_from = lru_cache(commit)
    purges = Purges(parts.engine)

    async def metrics() -> bytes:
        now = parts.clock()
        states = await gauges(purges, parts.board, parts.lookups, list(parts.settings.projects), now)
        counts, latest = shared.total()
        return exposition(
            counts,
            [*states, assets.gauge(now)],
            latest=latest,
            commit=await asyncio.to_thread(built_from),
            processes=shared.workers(),
        )

    return metrics


def _app(
    parts: _Parts,
    role: Role,
    dispatcher: Dispatcher,
    *,
    keeper: Keeper,
    network: Network,
    metrics: Callable[[], Awaitable[bytes]],
) -> Application:
    sends = _Elsewhere() if role is Role.INGEST else dispatcher
    told = _unverified(parts.settings)
    return create_app(
        Deps(
            pipelines=parts.pipelines,
            settings=parts.settings,
            inbox=Inbox(parts.engine),
            keeper=keeper,
            network=network,
            clock=parts.clock,
            wake=dispatcher.wake,
            wake_lookups=dispatcher.wake_lookups,
            health=Health(parts.engine, sends, parts.board, parts.clock, told, lookups=parts.lookups),
            meter=parts.tally,
            metrics=metrics,
            tracer=parts.tracer,
            takes_in=role is not Role.DISPATCH,
        )
    )


async def _get_ready() -> None:
    """For the first call to Vercel, once the start is over."""
    await asyncio.sleep(_READY_AFTER)
    try:
        await get_ready()
    except OSError as error:  # which every call will meet again, and say
        log.warning("certificates.unreadable", reason=f"{error}; look at SSL_CERT_FILE and SSL_CERT_DIR")


async def _share(shared: SharedTally) -> None:
    """Lets the other workers see this one's counts, for as long as it runs."""
    try:
        while True:
            await asyncio.sleep(_SHARE_EVERY)
            shared.write()
    finally:
        shared.write()


class _Elsewhere:
    """The dispatcher of a process that has none: others send."""

    def alive(self) -> bool:
        return True


def _unverified(settings: Settings) -> list[str]:
    return [
        f"source {name} is unverified: {UNVERIFIED}" for name, source in settings.sources.items() if source.unverified
    ]


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _prune(retention: Retention, settings: Settings, clock: Clock) -> None:
    """Removes what is past its retention in small steps, for as long as the relay runs."""
    while True:
        try:
            removed = await retention.step(clock(), settings.retention)
        except StoreUnavailable as error:
            log.warning("retention.failed", reason=str(error))
            removed = 0
        except Exception:  # a bug here must not end it unseen: the database would grow until the disk is full
            log.exception("retention.failed")
            removed = 0
        await asyncio.sleep(_PRUNE_PAUSE if removed else _PRUNE_EVERY)
