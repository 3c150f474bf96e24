"""Where a relay on this machine is reached."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct

from service.domain.errors import CommandFailed
from service.settings.model import Server, Settings

HOOKS = "/hooks"

# What listens on every address answers on this machine's own.
_EVERY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound


class Address(Struct, frozen=True):
    """A base URL, and the Unix socket to reach it through, where there is one."""

    url: str
    uds: str | None = None

    def __str__(self) -> str:
        return self.url if self.uds is None else f"unix:{self.uds}"


def address_of(server: Server) -> Address:
    """Where the relay with these settings listens; raises CommandFailed where only it knows."""
    if server.uds is not None:
        return Address("http://localhost", server.uds)
    if server.port == 0:
        raise CommandFailed("the port is 0, so the relay chose one itself: give its address with --url")
    host = _EVERY.get(server.host, server.host)
    return Address(f"http://{f'[{host}]' if ':' in host else host}:{server.port}")


def parse_address(text: str) -> Address:
    """`http://host:8080` or `unix:/run/relay.sock`, as `serve` prints it."""
    return Address("http://localhost", text.removeprefix("unix:")) if text.startswith("unix:") else Address(text)


def hook_path(settings: Settings, source: str) -> str:
    """The path senders see and sign: that of the public URL, then /hooks/SOURCE."""
    return f"{public_prefix(settings)}{HOOKS}/{source}"


def public_prefix(settings: Settings) -> str:
    """The public URL's path without a slash at its end, which a proxy may take off on the way."""
    return urlsplit(settings.public_url).path.rstrip("/") if settings.public_url else ""
