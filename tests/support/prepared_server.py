"""A process that has imported all of `image-relay`, and forks for each command that it is asked to become.

It is run by path and finds nothing of the tests, so that what is forked finds nothing of them either.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

# What the service imports first when it serves.
_LATER = ("anyio._backends._asyncio", "encodings.idna", "httpcore", "h11", "stringprep", "uvicorn.lifespan.off")

# What a command's own environment has a say in when it is imported.
_BY_ITSELF = ("service.__main__", "service.observability.traces")


class _Server:
    """Forks for whoever connects, and tells them the fork's id, then how it ended. Ends with its standard input."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._clients: dict[int, socket.socket] = {}
        self._woken, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for what is tested, and ends it
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._wakes.fileno())

    def run(self) -> dict[str, Any] | None:
        """Returns in each fork what that is to become, and None in the end."""
        with selectors.DefaultSelector() as selector:
            for source in (self._listener, self._woken, sys.stdin):
                selector.register(source, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._woken in ready:
                    self._reap()
                if sys.stdin in ready:
                    return None
                if self._listener in ready and (asked := self._fork()) is not None:
                    return asked

    def _fork(self) -> dict[str, Any] | None:
        client, _ = self._listener.accept()
        length, fds, _, _ = socket.recv_fds(client, 4, 3)
        with client.makefile("rb") as said:
            asked: dict[str, Any] = json.loads(said.read(*struct.unpack("!i", length)))
        child = os.fork()
        if child == 0:
            client.close()
            self._forget()
            _speak_through(fds)
        else:
            self._clients[child] = client
            _tell(client, child)
        for fd in fds:
            os.close(fd)
        return asked if child == 0 else None

    def _reap(self) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._clients.pop(ended[0]) as client:
                    _tell(client, os.waitstatus_to_exitcode(ended[1]))

    def _forget(self) -> None:
        """Leaves nothing of the server's own in a fork."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for one in (self._listener, self._woken, self._wakes, *self._clients.values()):
            one.close()


def _tell(client: socket.socket, number: int) -> None:
    with suppress(ConnectionError):  # it may have ended before the one that it asked for
        client.sendall(struct.pack("!i", number))


def _speak_through(fds: list[int]) -> None:
    """Standard input, output and errors, made as Python makes them when it starts."""
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    encoding, errors = sys.stdout.encoding, sys.stdout.errors
    sys.stdin = os.fdopen(0, encoding=encoding, errors=errors, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, errors=errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)


def _prepare() -> None:
    import service

    for module in walk_packages(service.__path__, "service."):
        if module.name not in _BY_ITSELF:
            import_module(module.name)
    for name in _LATER:
        import_module(name)
    with suppress(ImportError):
        import_module("coverage")
    assert threading.active_count() == 1, "a fork has only the thread that forks"
    gc.collect()
    gc.freeze()  # what is here already is not looked through, and so not copied, in every fork


def _become(asked: dict[str, Any]) -> None:
    """What `python -m service …` comes to when it has started, in its folder and with its environment."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    sys.path[0] = str(Path.cwd())
    sys.argv[1:] = asked["arguments"]
    if os.environ.get("COVERAGE_PROCESS_CONFIG"):
        import coverage

        coverage.process_startup(force=True)
    runpy.run_module("service", run_name="__main__", alter_sys=True)


def _main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        _prepare()
        asked = _Server(listener).run()
    if asked is not None:
        _become(asked)


if __name__ == "__main__":
    _main()
