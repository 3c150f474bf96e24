"""What is logged, as it was told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.domain.log import log

Told = list[dict[str, Any]]


@contextmanager
def logged() -> Iterator[Told]:
    """The lines told within the block: their fields, `event` and `log_level`."""
    lines: Told = []
    before, log.sink = (
        log.sink,
        lambda level, event, fields: lines.append({**fields, "event": event, "log_level": level}),
    )
    try:
        yield lines
    finally:
        log.sink = before
