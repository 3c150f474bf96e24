"""`image-relay` without the start of Python and the imports: each command is a fork of a process that is past them.

That saves a second or more of a core for each of the hundreds of processes that the tests start. What is forked is a
process of its own with its own number, files, environment and end, and can be killed like any other. Where the start
itself is what is tested, or the memory, it is started afresh: see `FRESH`.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FRESH = ("-m", "service")
"""What Python is told to run where a new one is to be started."""


@cache
def address() -> str:
    """The socket at which the prepared process is asked, which is started by the first and ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="relay-prepared-")
    at = f"{folder.name}/asked"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RELAY_", "COVERAGE_"))}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(at)
        listener.listen(64)  # who asks before it is prepared waits
        server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("prepared_server.py")), str(listener.fileno())],
            env=kept | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
        )

    def end() -> None:
        server.communicate()
        folder.cleanup()

    atexit.register(end)
    return at


class Forked:
    """A command that was forked; as much of `subprocess.Popen` as is used of it."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        asked = json.dumps({"arguments": arguments, "folder": str(cwd), "environ": dict(env)}).encode()
        self._code: int | None = None
        self._reading = threading.Lock()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(address())
        read, write = os.pipe()
        self.stdout = os.fdopen(read)
        with Path(os.devnull).open() as nothing:
            socket.send_fds(self._server, [struct.pack("!i", len(asked))], [nothing.fileno(), write, write])
        os.close(write)
        self._server.sendall(asked)
        self.pid = self._told()

    def _told(self) -> int:
        (number,) = struct.unpack("!i", self._server.recv(4))
        assert isinstance(number, int)
        return number

    def _ended(self, seconds: float | None) -> bool:
        ready, _, _ = select.select([self._server], [], [], seconds)
        return bool(ready)

    def poll(self) -> int | None:
        with self._reading:
            if self._code is None and self._ended(0):
                self._code = self._told()
                self._server.close()
        return self._code

    def wait(self, seconds: float) -> int:
        if self._code is None:
            self._ended(seconds)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("image-relay", seconds)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended since
                os.kill(self.pid, number)
