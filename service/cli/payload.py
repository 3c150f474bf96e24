"""What `explain` is given: a body, or a whole HTTP request as it was captured."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import Struct

from service.domain.errors import CommandFailed

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]*) HTTP/1\.[01]\r?\n")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

Headers = tuple[tuple[str, str], ...]


class Payload(Struct, frozen=True):
    """A body; where it was captured with its request, that request's method, path and headers."""

    body: bytes
    method: str | None = None
    path: str | None = None
    headers: Headers = ()


def read_input(path: Path, limit: int) -> bytes:
    """The bytes of a file, or of standard input for `-`; raises CommandFailed, also beyond `limit` bytes."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with path.open("rb") as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise CommandFailed(f"{path} is larger than {limit} bytes, the most that is taken")
    return data


def parse_payload(data: bytes) -> Payload:
    """A captured request where the data begins with a request line, else the data as a body."""
    line = _REQUEST_LINE.match(data)
    if line is None:
        return Payload(data)
    head, blank, body = _split(data[line.end() :])
    if not blank:
        return Payload(data)
    headers = [parse_header(text.decode("latin-1")) for text in head.splitlines() if text]
    return Payload(body, line[1].decode(), line[2].decode(), tuple(headers))


def _split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Header lines, the blank line, body; either kind of line end."""
    if data.startswith((b"\r\n", b"\n")):
        return b"", *data.partition(b"\n")[1:]
    found = re.search(rb"\r?\n(\r?\n)", data)
    return (data[: found.start()], found[1], data[found.end() :]) if found else (data, b"", b"")


def parse_header(text: str) -> tuple[str, str]:
    """`Name: value`; raises CommandFailed."""
    name, colon, value = text.partition(":")
    if not colon or not _HEADER_NAME.fullmatch(name):
        raise CommandFailed(f"{text!r} is no header: write it as 'Name: value'")
    return name, value.strip(" \t\r\n")


def as_received(headers: Sequence[tuple[str, str]]) -> Headers:
    """Headers typed on a command line as a server has them: their bytes read as latin-1."""
    return tuple((name, value.encode("utf-8", "surrogateescape").decode("latin-1")) for name, value in headers)


def header_option(_: click.Context, __: click.Parameter, values: Sequence[str]) -> Headers:
    """The callback of `--header`."""
    try:
        return as_received([parse_header(value) for value in values])
    except CommandFailed as error:
        raise click.BadParameter(str(error)) from None
