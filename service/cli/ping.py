"""`image-relay ping`: a health check as light as it can be, since it is run every few seconds."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import click

from service.cli.address import Address, address_of, parse_address
from service.cli.configuration import config_option, load_basics
from service.domain.errors import CommandFailed

_SECONDS = 5.0  # that one answer may take
_PAUSE = 0.2
_MAX_ANSWER = 64 * 1024
_OK = 200


@click.command()
@click.option("--url", help="The relay's address, or unix:PATH; else that of the settings on this machine.")
@click.option("--wait", type=click.FloatRange(0, 3600), default=0, help="Seconds to go on asking until it is ready.")
@click.option("--live", is_flag=True, help="Ask no more than whether it answers; its store may be away.")
@config_option
def command(url: str | None, wait: float, live: bool, config: Path | None) -> None:
    """Ask a running relay whether it is ready.

    Exit 0 when it is, 1 when it is not or does not answer: fit for a container's health check. A check that starts it
    anew asks with --live: a new start brings no database back.
    """
    address = parse_address(url) if url is not None else address_of(load_basics(config).settings.server)
    deadline = time.monotonic() + wait
    while (problem := ask(address, "/livez" if live else "/readyz")) is not None:
        if time.monotonic() >= deadline:
            raise CommandFailed(problem)
        time.sleep(_PAUSE)
    click.echo("alive" if live else "ready")


def ask(address: Address, path: str = "/readyz") -> str | None:
    """Why the relay is not ready, or not alive, None when it is."""
    try:
        connection = _connection(address)
        try:
            connection.request("GET", f"{urlsplit(address.url).path.rstrip('/')}{path}")
            answer = connection.getresponse()
            body = answer.read(_MAX_ANSWER)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"no answer from {address}: {str(error) or type(error).__name__}"
    return None if answer.status == _OK else f"{address} is not ready: {_reasons(answer.status, body)}"


def _connection(address: Address) -> http.client.HTTPConnection:
    parts = urlsplit(address.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandFailed(f"{address} is no address: write http://HOST:PORT or unix:PATH")
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=_SECONDS)
    if address.uds is None:
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)
    return _UnixConnection(address.uds)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def _reasons(status: int, body: bytes) -> str:
    """What the answer says, as far as it can be read."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    reasons = document.get("reasons") if isinstance(document, dict) else None
    said = "; ".join(str(reason) for reason in reasons) if isinstance(reasons, list) else ""
    return said or f"it answered {status}"
