"""The log: one line an event, for people or as JSON, and no secret in it."""

from __future__ import annotations

import asyncio
import atexit
import logging
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import Processor

from service.domain.secret import Secret
from service.rules.limits import shown
from service.settings.addresses import store_password
from service.settings.model import Settings

Style = Literal["console", "json"]

_HIDDEN = "***"
_SHORTEST = 6  # a shorter secret is part of too many words to be blotted out of them
_BEARER = r"(?i:\bbearer\s+)[\w.~+/=-]{6,}"
_LEVELS = {"warn": "warning", "exception": "error"}
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

    def clean(self, line: str) -> str:
        # Nearly every line holds nothing to hide, and finding a plain string is far cheaper than trying the pattern.
        if "bearer" in line.lower() or any(secret in line for secret in self._secrets):
            return self._pattern.sub(_HIDDEN, line)
        return line


_blotter = _Blotter()


class _Lines:
    """A stream that sends what one turn of the event loop writes in one piece: under load, a write costs more than
    making its line. Outside of a loop nothing waits. A line that cannot be written is dropped, as `logging` does it:
    there is nobody left to tell."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: deque[str] = deque()
        self._scheduled_in: asyncio.AbstractEventLoop | None = None
        atexit.register(self._send)  # a loop that was torn down sends no more

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        self._lines.append(text)
        return len(text)

    def flush(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._send()
            return
        if self._scheduled_in is not loop:
            self._scheduled_in = loop
            loop.call_soon(self._send)

    def _send(self) -> None:
        self._scheduled_in = None
        text = "".join(self._lines.popleft() for _ in range(len(self._lines)))
        with suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


class _AtOnce:
    """A bound logger's way to its one processor without the general chain, which costs twice what the line does: every
    webhook has a line."""

    _processors: Sequence[Processor]
    _logger: Any
    _context: MutableMapping[str, Any]

    def _proxy_to_logger(self, method_name: str, event: str | None = None, **told: Any) -> None:
        if self._context:
            told = {**self._context, **told}
        told["event"] = event
        for process in self._processors:
            told = process(self._logger, method_name, told)  # type: ignore[assignment]  # the last one gives the line
        self._logger.msg(told)


def configure(style: Style | None = None, level: str = "INFO") -> None:
    """Set logging up for the process, on standard error; `style` left out: console on a terminal, else JSON.

    What the standard library's loggers say, uvicorn's among them, comes out in the same form.
    """
    stream = _Lines(sys.stderr)
    number = logging.getLevelNamesMapping()[level.upper()]
    style = style or ("console" if stream.isatty() else "json")
    rendering = _rendering(style, colors=stream.isatty())
    logger = structlog.make_filtering_bound_logger(number)
    structlog.configure(
        processors=rendering,
        wrapper_class=type("JsonLogger", (_AtOnce, logger), {}) if style == "json" else logger,
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, stream)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    own = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name], processors=[own, *rendering]
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
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


def _rendering(style: Style, *, colors: bool) -> list[Processor]:
    if style == "json":
        return [_blotted(_as_json)]
    # Rich's tracebacks would show local variables, and those hold bodies and secrets.
    console = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, timestamp_key="time"
    )
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _one_line,
        _blotted(console),
    ]


def _blotted(render: Callable[[Any, str, MutableMapping[str, Any]], str]) -> Processor:
    return lambda logger, method, event: _blotter.clean(render(logger, method, event))


def _as_json(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return _encode({"time": time, "level": _LEVELS.get(method, method), "event": event.pop("event"), **event}).decode()


def _one_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Control characters spelled out: what a sender wrote neither forges a line nor moves the cursor."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = shown(value)
    return event


def _in_json(value: str) -> str:
    """How a secret reads inside a JSON string."""
    return _encode(value).decode()[1:-1]


def _long_lines(value: str) -> Iterable[str]:
    """A key of many lines may be shown a line at a time, but for the lines that all such keys have."""
    lines = value.splitlines() if "\n" in value else []
    return (line for line in lines if len(line) >= _SHORTEST and not line.startswith("-----"))
