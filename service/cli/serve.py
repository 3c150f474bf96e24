"""`image-relay serve`: the service itself."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import uvicorn
import uvloop

from service.bootstrap import Relay, Role, relay
from service.cli.configuration import config_option, load_settings
from service.cli.connection import connection_type
from service.cli.first_process import reap_orphans
from service.cli.version import commit
from service.cli.workers import Workers
from service.domain.errors import CommandFailed, RelayError
from service.domain.log import log
from service.observability.logs import configure, redact
from service.settings.loader import Loaded
from service.settings.model import Limits, Server

GRACE_SECONDS = 8.0  # of the ten in which the process is gone after SIGTERM; the rest is for closing the store
_OPEN_REQUESTS = 2000  # beyond it uvicorn answers 503 by itself: memory stays bounded
_BACKLOG = 2048


@click.command()
@config_option
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--uds", type=click.Path(path_type=Path), help="Unix socket to listen on, in place of host and port.")
@click.option("--store", help="sqlite:///PATH or postgresql://….")
@click.option("--log", type=click.Choice(["console", "json"]), help="Left out: console on a terminal, else JSON.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, help="Processes that share the address.")
@click.option(
    "--role",
    type=click.Choice([one.value for one in Role]),
    default="all",
    help="Take in webhooks, send purges, or both.",
)
def command(
    *,
    config: Path | None,
    host: str | None,
    port: int | None,
    uds: Path | None,
    workers: int,
    role: str,
    **more: str | None,
) -> None:
    """Take in webhooks and purge."""
    gc.disable()  # until the start is over
    overrides = {
        "server.host": host,
        "server.port": port,
        "server.uds": uds,
        "store": more["store"],
        "server.log": more["log"],
    }
    loaded = load_settings(config, overrides)
    configure(loaded.settings.server.log)
    redact(loaded.settings)
    server = loaded.settings.server
    listener = listen(server)
    try:
        if workers == 1:
            reap_orphans()
            _serve_one(loaded, listener, Role(role), say=True)
        else:
            _serve_many(loaded, listener, Role(role), workers)
    finally:
        listener.close()
        if server.uds is not None:
            Path(server.uds).unlink(missing_ok=True)


def _serve_one(loaded: Loaded, listener: socket.socket, role: Role, *, say: bool, tallies: Path | None = None) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(loaded, listener, role, say=say, tallies=tallies))


def _serve_many(loaded: Loaded, listener: socket.socket, role: Role, workers: int) -> None:
    def work() -> int:
        try:
            _serve_one(loaded, listener, role, say=False, tallies=Path(tallies))
        except RelayError as error:
            click.echo(f"Error: {error}", err=True)
            return 1
        return 0

    click.echo(f"listening on {address_of(listener)}")
    with TemporaryDirectory(prefix="image-relay-") as tallies:
        code = Workers(work, workers).run()
    if code:
        raise SystemExit(code)


async def _run(loaded: Loaded, listener: socket.socket, role: Role, *, say: bool, tallies: Path | None = None) -> None:
    """Serves until SIGTERM or SIGINT; raises StoreUnavailable where there is no store to be had."""
    for warning in loaded.warnings:
        log.warning("config.warning", problem=warning.shown(str(loaded.file or "")))
    async with relay(loaded, role=role, tallies=tallies, commit=commit) as running:
        await _serve(running, listener, loaded.settings.limits, say=say)
    log.info("relay.stopped")


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would raise the signal again before the store is closed."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # uvicorn's is a generator
        return nullcontext()


async def _serve(running: Relay, listener: socket.socket, limits: Limits, *, say: bool) -> None:
    config = uvicorn.Config(
        running.app,
        http=connection_type(limits.body_seconds, running.app.hooks),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_OPEN_REQUESTS,
        timeout_graceful_shutdown=round(GRACE_SECONDS),
    )
    server = _Server(config)
    stopping: list[asyncio.Task[None]] = []

    def on_signal() -> None:
        hurry = bool(stopping)  # the second one means: now
        server.should_exit, server.force_exit = True, hurry
        stopping.append(loop.create_task(running.stop(0.0 if hurry else GRACE_SECONDS)))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    _settle_garbage()
    if say:
        click.echo(f"listening on {address_of(listener)}")
    await server.serve(sockets=[listener])
    for task in stopping:
        await task


def _settle_garbage() -> None:
    """What the start has made stays: looking through it again and again would take a sixth of the time under load."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def listen(server: Server) -> socket.socket:
    """The listening socket; raises CommandFailed with the address and the remedy."""
    try:
        return _listen_unix(Path(server.uds)) if server.uds is not None else _listen_tcp(server.host, server.port)
    except (OSError, OverflowError) as error:
        place = server.uds or f"{server.host}:{server.port}"
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandFailed(
            f"cannot listen on {place}: {reason}; choose another with --host, --port or --uds"
        ) from None


def _listen_tcp(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind)
    with _closed_on_failure(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    return listener


def _listen_unix(path: Path) -> socket.socket:
    """A socket left behind by a dead process is replaced, one that somebody answers on is not."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
    listener = socket.socket(socket.AF_UNIX)
    with _closed_on_failure(listener):
        listener.bind(str(path))
        # Whoever may enter the folder may connect: a sidecar's neighbour runs as another user.
        path.chmod(0o666)
        listener.listen(_BACKLOG)
    return listener


@contextmanager
def _closed_on_failure(listener: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        listener.close()
        raise


def address_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8080`, or `unix:/run/relay.sock`."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"
