"""The relay and its peers as processes of their own, each listening for POST /hooks/hook."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import tools
from support.process import SECRET_BASE64, TOKEN

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Peer:
    address: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, and wait for the end of it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, which takes the processes of a supervisor with it, and wait for the end."""
        self.process.terminate()
        self.process.wait(20)


def relay(*more: str) -> list[str]:
    """Of the relay.yaml in the folder where it is started."""
    return [sys.executable, "-m", "service", "serve", "--host", "127.0.0.1", "--port", "PORT", "--log", "json", *more]


def bare() -> list[str]:
    return [sys.executable, str(_HERE / "bare_endpoint.py"), "PORT"]


def naive(vercel: str) -> list[str]:
    return [sys.executable, str(_HERE / "naive_handler.py"), "PORT", vercel, SECRET_BASE64, TOKEN]


def webhook(program: str, folder: Path, note: Path | None = None) -> list[str]:
    """adnanh/webhook that verifies an HMAC over the body and runs /bin/true, or appends the asset's id to `note`."""
    hook: dict[str, object] = {
        "id": "hook",
        "execute-command": shutil.which("true"),
        "response-message": "{}",
        "trigger-rule": {
            "match": {
                "type": "payload-hmac-sha256",
                "secret": SECRET_BASE64,
                "parameter": {"source": "header", "name": "X-Hub-Signature-256"},
            }
        },
    }
    if note is not None:
        script = folder / "note.sh"
        script.write_text(f'#!/bin/sh\necho "$1" >> {note}\n')
        script.chmod(0o755)
        hook["execute-command"] = str(script)
        hook["pass-arguments-to-command"] = [{"source": "payload", "name": "data.id"}]
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([hook]))
    return [program, "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", "PORT"]


def environment() -> dict[str, str]:
    """Without settings of the relay's own, and with compiled modules kept, as an installed program has them."""
    kept = {name: value for name, value in tools.environment().items() if not name.startswith("RELAY_")}
    return kept | {"PYTHONPATH": str(_HERE.parents[1]), "PYTHONDONTWRITEBYTECODE": ""}


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[Peer]:
    """The command with a free port in place of PORT, once it listens and until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "process.log").open("ab") as log:  # a file costs the load generator nothing, a pipe would
        process = subprocess.Popen(
            [str(port) if word == "PORT" else word for word in command],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    peer = Peer(f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_listening(peer, port)
        yield peer
    finally:
        peer.stop()


def _wait_until_listening(peer: Peer, port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert peer.process.poll() is None, f"{peer.process.args!r} ended by itself"
            assert time.monotonic() < deadline, f"{peer.process.args!r} does not listen"
            time.sleep(0.005)
