"""What falls to the first process of a container: there is no init that would do it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType

FIRST = 1
"""The process id of a container's command."""


def heed_sigterm() -> None:
    """SIGTERM ends the first process too: the kernel leaves out a signal's default action there.

    Without this, one that comes before `serve` listens for it would be lost, and the container killed after a while.
    """
    if os.getpid() == FIRST:
        signal.signal(signal.SIGTERM, _terminated)


def reap_orphans() -> None:
    """The first process inherits every process whose parent has ended; their ends are taken note of, or they pile up.

    Not for one that waits for children of its own: this would take their exit codes away.
    """
    if os.getpid() == FIRST:
        signal.signal(signal.SIGCHLD, _reap)


def _terminated(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _reap(_number: int, _frame: FrameType | None) -> None:
    with suppress(ChildProcessError):  # there is none, or none is left
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
