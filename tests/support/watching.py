"""Coverage watches what a test runs through, which costs as much again as what it watches.

To look away shows it only ever less, so that its gates become no easier to pass.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_watches: list[tuple[Any, Any]] = []


@contextmanager
def unwatched() -> Iterator[None]:
    """Nothing is watched that this thread runs in the block, nor any thread that it starts."""
    _watches.append((sys.gettrace(), threading.gettrace()))
    try:
        with _traced(None, None):
            yield
    finally:
        _watches.pop()


@contextmanager
def watched() -> Iterator[None]:
    """All is, in a block within `unwatched`, if it was before that."""
    with _traced(*_watches[-1]):
        yield


@contextmanager
def _traced(this: Any, new: Any) -> Iterator[None]:
    before = sys.gettrace(), threading.gettrace()
    threading.settrace(new)
    sys.settrace(this)
    try:
        yield
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])
