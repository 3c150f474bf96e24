"""Several processes on one socket: forked by one that does nothing but watch over them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from msgspec import Struct, field

from service.domain.log import log

QUICK_SECONDS = 2.0
"""A process that fails sooner than this after the first start does so because of what all have in common."""

_PAUSE_SECONDS = 1.0  # before a process that died is replaced, so that one that dies at once does not eat a core


class Workers(Struct):
    """The processes by their ids. `work` is what each does; it returns the exit code."""

    work: Callable[[], int]
    count: int
    started_at: float = field(default_factory=time.monotonic)
    running: dict[int, int] = {}
    stopping: bool = False

    def run(self) -> int:
        """Until a signal ends all, or the first of them to start fails at once; the exit code."""
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            for number in range(self.count):
                self._start(number)
            return self._watch()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            code = 1
            try:
                for one in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(one, signal.SIG_DFL)
                code = self.work()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        self.running[process] = number

    def _watch(self) -> int:
        ended_by = 0
        while self.running:
            process, status = os.wait()
            number = self.running.pop(process, None)
            if number is None:  # an orphan, which a container's first process inherits
                continue
            code = os.waitstatus_to_exitcode(status)
            if self.stopping:
                ended_by = ended_by or max(code, 0)
                continue
            if code > 0 and time.monotonic() - self.started_at < QUICK_SECONDS:
                self._stop(signal.SIGTERM, None)
                ended_by = code
                continue
            log.warning("worker.replaced", worker=number, exit_code=code)
            time.sleep(_PAUSE_SECONDS)
            if not self.stopping:
                self._start(number)
        return ended_by

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Passes the signal on: each ends what it is at, and a second signal hurries it."""
        self.stopping = True
        for process in self.running:
            os.kill(process, number)
