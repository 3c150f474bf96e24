"""`image-relay` for pages with many commands: each command is a fork of a process that is past the imports.

What a page says is run by bash as it stands. README.md's first commands are run without this.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from support import leaks
from support.prepared import address

# Run by a Python without site and environment: what starts in 15 ms.
_CLIENT = """\
import json, os, signal, socket, struct, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    asked = {"arguments": sys.argv[2:], "folder": os.getcwd(), "environ": dict(os.environ)}
    asked = json.dumps(asked).encode()
    socket.send_fds(server, [struct.pack("!i", len(asked))], [0, 1, 2])
    server.sendall(asked)
    (child,) = struct.unpack("!i", server.recv(4))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: os.kill(child, number))
    (code,) = struct.unpack("!i", server.recv(4))
    sys.exit(code if code >= 0 else 128 - code)
"""


class Shell:
    """bash in a folder, in which `image-relay` is a fork of what is prepared."""

    def __init__(self, commands: Path) -> None:
        self._commands = commands

    def run(self, folder: Path, text: str, environ: Mapping[str, str], seconds: float = 60) -> str:
        """What the commands wrote; fails where one of them fails. Background jobs end with the script."""
        whole = f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n{text}"
        known = {name: value for name, value in os.environ.items() if not name.startswith(("RELAY_", "COVERAGE_"))}
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


def shell(folder: Path) -> Shell:
    """A shell whose commands go into `folder`."""
    client = folder / "client.py"
    client.write_text(_CLIENT)
    python, at = shlex.quote(sys.executable), shlex.quote(address())
    commands = folder / "commands"
    commands.mkdir()
    for name, text in (
        ("image-relay", f'exec {python} -ISs {shlex.quote(str(client))} {at} "$@"'),
        ("python", f'exec {python} "$@"'),
    ):
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    return Shell(commands)
