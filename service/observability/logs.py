"""The log: one line an event, for people or as JSON, and no secret in it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import re
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

from service.domain.log import Sink, log
from service.domain.secret import Secret
from service.rules.limits import shown
from service.settings.addresses import store_password
from service.settings.model import Settings

Style = Literal["console", "json"]

_HIDDEN = "***"
_SHORTEST = 6  # a shorter secret is part of too many words to be blotted out of them
_BEARER = r"(?i:\bbearer\s+)[\w.~+/=-]{6,}"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_QUIET = ("httpx", "httpcore", "asyncio", "uvicorn.access")  # what they tell at info is in our own lines

_encode = msgspec.json.Encoder(enc_hook=repr).encode


class _Blotter:
    """Cleans finished lines, so nothing gets past it, not in a traceback either."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern = re.compile(_BEARER)

    def add(self, secrets: Iterable[Secret]) -> None:
        for secret in secrets:
            value = secret.reveal()
            if len(value) >= _SHORTEST:
                self._secrets |= {value, _in_json(value), repr(value)[1:-1], *_long_lines(value)}
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join([_BEARER, *map(re.escape, longest_first)]))

    def clean(self, lines: Sequence[str]) -> str:
        """The lines in one piece. Nearly all hold nothing to hide, and to find a plain string in all of them is far
        cheaper than to try the pattern on each."""
        text = "".join(lines)
        found = "bearer" in text.lower()
        for secret in self._secrets:
            found = found or secret in text
        return "".join([self._pattern.sub(_HIDDEN, line) for line in lines]) if found else text


_blotter = _Blotter()


class _Lines:
    """A stream that sends what one turn of the event loop writes in one piece, cleaned: under load, a write costs more
    than making its line. Outside of a loop nothing waits. A line that cannot be written is dropped, as `logging` does
    it: there is nobody left to tell."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[str] = deque()
        self._scheduled_in: asyncio.AbstractEventLoop | None = None
        atexit.register(self._send)  # a loop that was torn down sends no more

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, line: str) -> None:
        self._lines.append(line)
        if self._scheduled_in is None or self._scheduled_in.is_closed():
            self._schedule()

    def _schedule(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._send()
        else:
            self._scheduled_in = loop
            loop.call_soon(self._send)

    def _send(self) -> None:
        self._scheduled_in = None
        text = _blotter.clean([self._lines.popleft() for _ in range(len(self._lines))])
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


class _Standard(logging.Handler):
    """Hands on what the standard library's loggers are told, uvicorn's among them."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = {"logger": record.name, **({"exc_info": record.exc_info} if record.exc_info else {})}
            self._sink(record.levelname.lower(), record.getMessage().strip(), fields)
        except Exception:
            self.handleError(record)


def configure(style: Style | None = None, level: str = "INFO") -> None:
    """Set logging up for the process, on standard error; `style` left out: console on a terminal, else JSON.

    What the standard library's loggers say, uvicorn's among them, comes out in the same form.
    """
    stream = _Lines(sys.stderr)
    number = logging.getLevelNamesMapping()[level.upper()]
    terminal = stream.isatty()
    render = _as_json if (style or ("console" if terminal else "json")) == "json" else _Console(colors=terminal)

    def sink(told_level: str, event: str, fields: dict[str, Any]) -> None:
        if _LEVELS[told_level] >= number:
            stream.write(render(told_level, event, fields) + "\n")

    log.sink = sink
    logging.basicConfig(handlers=[_Standard(sink)], level=number, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def redact(settings: Settings) -> None:
    """Blot every secret of the settings out of every line from now on."""
    password = store_password(settings.store)
    _blotter.add([*_secrets_in(settings), *([Secret(password)] if password else [])])


def _secrets_in(value: Any) -> Iterable[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _secrets_in(item)


def _as_json(level: str, event: str, fields: dict[str, Any]) -> str:
    told = {"time": datetime.now(UTC), "level": level, "event": event, **fields}
    if "exc_info" in told and (traceback_ := _traceback(told.pop("exc_info"))) is not None:
        told["exception"] = traceback_
    return _encode(told).decode()


class _Console:
    """Lines for people: aligned, coloured on a terminal, and with control characters spelled out, so that what a sender
    wrote neither forges a line nor moves the cursor."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors

    def __call__(self, level: str, event: str, fields: dict[str, Any]) -> str:
        traceback_ = _traceback(fields.pop("exc_info", None))
        told = " ".join(
            f"{self._painted('36', shown(key))}={self._painted('35', _value(value))}" for key, value in fields.items()
        )
        name = self._painted("1;31" if _LEVELS[level] > logging.INFO else "32", f"{level:<9}")
        line = f"{self._painted('2', _now())} [{name}] {self._painted('1', f'{shown(event):<30}')} {told}".rstrip()
        return line if traceback_ is None else f"{line}\n{traceback_}"

    def _painted(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colors else text


def _value(value: Any) -> str:
    """As it is where that is one word, else the way Python writes it."""
    if isinstance(value, str) and value and not set(value) & set(" '\"="):
        return shown(value)
    return shown(repr(value))


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _traceback(told: Any) -> str | None:
    """The traceback of the exception that is being handled, or of the given one: without local variables, for those
    hold bodies and secrets."""
    if not told:
        return None
    found = sys.exc_info() if told is True else told
    return "".join(traceback.format_exception(*found)).rstrip()


def _in_json(value: str) -> str:
    """How a secret reads inside a JSON string."""
    return _encode(value).decode()[1:-1]


def _long_lines(value: str) -> Iterable[str]:
    """A key of many lines may be shown a line at a time, but for the lines that all such keys have."""
    lines = value.splitlines() if "\n" in value else []
    return (line for line in lines if len(line) >= _SHORTEST and not line.startswith("-----"))
