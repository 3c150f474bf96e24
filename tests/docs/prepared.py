"""`image-relay` for pages with many commands: the program is imported once, each command is a fork of that process.

What a page says is run by bash as it stands; only the start of Python and the imports, 0.3 s a command, are left out.
README.md's first commands are run without this, and so are all of the acceptance tests.
"""

from __future__ import annotations

import gc
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from docs.pages import ROOT
from support import leaks

# Run by a Python without site and environment: what starts in 15 ms.
_CLIENT = """\
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    asked = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(asked)
    with server.makefile() as said:
        child = int(said.readline())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: os.kill(child, number))
        sys.exit(int(said.readline() or 137))
"""


class Shell:
    """bash in a folder, in which `image-relay` is a fork of what is prepared."""

    def __init__(self, commands: Path) -> None:
        self._commands = commands

    def run(self, folder: Path, text: str, environ: Mapping[str, str], seconds: float = 60) -> str:
        """What the commands wrote; fails where one of them fails. Background jobs end with the script."""
        whole = f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n{text}"
        known = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        done = subprocess.run(
            ["bash", "-c", whole],
            cwd=folder,
            env=known | {"HOME": str(folder), "PATH": f"{self._commands}:{known['PATH']}"} | dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        leaks.search(done.stdout, leaks.secrets_in(environ), "a page's commands")
        assert done.returncode == 0, done.stdout
        return done.stdout


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A shell whose commands go into `folder`; what it prepared ends with the block."""
    at = folder / "prepared"
    client = folder / "client.py"
    client.write_text(_CLIENT)
    python = shlex.quote(sys.executable)
    commands = folder / "commands"
    commands.mkdir()
    for name, text in (
        ("image-relay", f'exec {python} -ISs {shlex.quote(str(client))} {shlex.quote(str(at))} "$@"'),
        ("python", f'exec {python} "$@"'),
    ):
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, "-m", "docs.prepared", str(at)], cwd=folder, env=environ, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Shell(commands)
        finally:
            process.terminate()


def _serve(at: str) -> None:
    """Forks once for each client, until it is ended."""
    from service.cli import COMMANDS
    from service.providers.registry import provider_class

    for place, _ in COMMANDS.values():
        import_module(place.partition(":")[0])
    for name in ("service.bootstrap", "service.app", "uvicorn.loops.auto", "uvicorn.protocols.http.auto"):
        with suppress(ImportError):
            import_module(name)
    for name in ("contentful", "sanity", "cloudinary", "storyblok", "aws-sns", "gcs-pubsub", "standard-webhooks"):
        provider_class(name)
    assert threading.active_count() == 1, "a fork has only the thread that forks"
    gc.collect()
    gc.freeze()  # what is here already is not looked through, and so not copied, in every fork
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(at)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _become(client)
            client.close()


def _become(client: socket.socket) -> None:
    """Runs one command as if this process had been started for it, and tells its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    length, fds, _, _ = socket.recv_fds(client, 4, 3)
    with client.makefile("rwb") as asked:
        arguments, folder, environ = json.loads(asked.read(int.from_bytes(length, "big")))
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(at, mode, 1, closefd=False) for at, mode in enumerate("rww"))
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        sys.argv[:] = ["image-relay", *arguments]
        asked.write(f"{os.getpid()}\n".encode())
        asked.flush()
        code: object = 1
        try:
            from service.cli import main

            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:  # whatever it is, it is this command's end, and is told as Python tells it
            sys.excepthook(*sys.exc_info())
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        with suppress(OSError):
            asked.write(f"{code if isinstance(code, int) else 1}\n".encode())
            asked.flush()
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
