"""`image-relay fake-vercel`: a Vercel to try against."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import click
import msgspec
import uvicorn
from starlette.types import ASGIApp

from service.domain.errors import CommandFailed
from service.testing.fake_answers import Answer, parse_answers
from service.testing.fake_vercel import FakeVercel, create_fake_vercel


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0 takes a free one.")
@click.option(
    "--token", "tokens", multiple=True, help="A made-up token that is known; may be repeated. Any if left out."
)
@click.option("--project", "projects", multiple=True, help="A project that is known; may be repeated. Any if left out.")
@click.option("--answers", help="A JSON list of answers to give to the next calls, or the name of a file with one.")
@click.option(
    "--max-src-image-bytes",
    type=click.IntRange(1, 8192),
    default=1013,
    show_default=True,
    help="Longest source image that is taken, as the setting of a project in relay.yaml.",
)
@click.option("--latency", type=click.FloatRange(0, 3600), default=0.0, help="Seconds before each answer.")
def command(
    *,
    host: str,
    port: int,
    tokens: Sequence[str],
    projects: Sequence[str],
    answers: str | None,
    max_src_image_bytes: int,
    latency: float,
) -> None:
    """Run a fake Vercel to try against.

    It is as strict as Vercel's published API. GET /_calls says what it was asked; POST /_answers takes a JSON list of
    answers to give, such as [{"status": 429, "retry_after": "5", "times": 2}]; DELETE empties either.
    """
    fake = FakeVercel(
        tokens=tokens or None,
        projects=projects or None,
        answers=_answers(answers) if answers else (),
        latency=latency,
        max_src_image_bytes=max_src_image_bytes,
    )
    with _listen(host, port) as listener:
        name = listener.getsockname()
        click.echo(f"listening on http://{f'[{name[0]}]' if ':' in name[0] else name[0]}:{name[1]}")
        serve(create_fake_vercel(fake), listener)


def _answers(text: str) -> list[Answer]:
    """From the text itself, else from the file of that name."""
    try:
        if text.lstrip().startswith("["):
            return parse_answers(text.encode())
        with open(text, "rb") as file:  # noqa: PTH123 - it may yet turn out to be anything
            return parse_answers(file.read())
    except OSError as error:
        raise CommandFailed(f"--answers: {text!r} is no JSON list and cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise CommandFailed(f"--answers: {error}") from None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise CommandFailed(
            f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port"
        ) from None


class _Server(uvicorn.Server):
    """uvicorn raises the signal that stopped it once more; here to be stopped is success."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # uvicorn's is a generator
        return nullcontext()


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Until SIGTERM or SIGINT; calls that hang are cut off a second later."""
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1)
    )

    def stop(*_: object) -> None:
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
