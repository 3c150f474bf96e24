"""The log as every part sees it: an event's name, and fields. What becomes of it is decided once, at the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Sink = Callable[[str, str, dict[str, Any]], None]
"""Takes a level (`debug` to `error`), an event and its fields; `exc_info` is one where an exception is being told."""


class Log:
    """Hands lines on to the sink, which is nobody until `observability.logs` puts itself there."""

    __slots__ = ("sink",)

    def __init__(self) -> None:
        self.sink: Sink = _nobody

    def debug(self, event: str, **fields: Any) -> None:
        """For whoever looks for an error in here."""
        self.sink("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """What happened."""
        self.sink("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What somebody should look at."""
        self.sink("warning", event, fields)

    def exception(self, event: str, error: BaseException | None = None, **fields: Any) -> None:
        """An error of ours, with the traceback of `error`, or of the exception that is being handled."""
        told = True if error is None else (type(error), error, error.__traceback__)
        self.sink("error", event, {**fields, "exc_info": told})


def _nobody(_level: str, _event: str, _fields: dict[str, Any]) -> None:
    """A command tells what it has to say by itself."""


log = Log()
