"""The relay as its users run it: a process of its own, told everything by file and environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import httpx

from support import leaks
from support.prepared import ROOT, Forked

SECRET = "fake-secret-" + "0123456789abcdef" * 4
TOKEN = "vcp_fakefakefake0123456789"

_LISTENING = "listening on "


class Process:
    """A started `image-relay` command; its log is read away by a thread, so that no pipe fills up.

    It is forked from one that is prepared, or started afresh where Python is told of a `program` to run.
    """

    def __init__(
        self, *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, program: Sequence[str] = ()
    ) -> None:
        self._secrets = leaks.secrets_in(environ)
        self._told = f"image-relay {' '.join(arguments)}"
        known = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
        env = known | {"PYTHONPATH": str(ROOT), "RELAY_LOG": "json"} | dict(environ or {})
        self._child: Forked | subprocess.Popen[str]
        if program:
            self._child = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        else:
            self._child = Forked(arguments, cwd=cwd, env=env)
        self.lines: deque[str] = deque(maxlen=5000)
        self.address = ""
        self._heard = threading.Event()
        self._reader = threading.Thread(target=self._read, name="process-log")
        self._reader.start()

    def _read(self) -> None:
        stream: IO[str] | None = self._child.stdout
        assert stream is not None
        with stream:
            for line in stream:
                self.lines.append(line.rstrip("\n"))
                leaks.search(line, self._secrets, self._told)
                if _LISTENING in line and not self.address:
                    self.address = line.partition(_LISTENING)[2].split('"')[0].split()[0]
                    self._heard.set()
        self._heard.set()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        return self._child.poll()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def listening(self, seconds: float = 20) -> Self:
        """Waits for the line that names the address."""
        self._heard.wait(seconds)
        assert self.address, f"the process said no address:\n{self.output}"
        return self

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    def wait(self, seconds: float = 15) -> int:
        code = self._child.wait(seconds)
        self._reader.join()
        return code

    def kill(self) -> None:
        """SIGKILL, and wait for the end of it."""
        if self._child.poll() is None:
            self.signal(signal.SIGKILL)
        self.wait()

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM, and wait for the end of it."""
        if self._child.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(seconds)


@contextmanager
def running(
    *arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, program: Sequence[str] = ()
) -> Iterator[Process]:
    """A command until the end of the block, however that comes."""
    process = Process(*arguments, cwd=cwd, environ=environ, program=program)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def relay(
    cwd: Path, *arguments: str, environ: Mapping[str, str] | None = None, program: Sequence[str] = ()
) -> Iterator[Process]:
    """`image-relay serve` on a port of its own choosing."""
    with running("serve", "--port", "0", *arguments, cwd=cwd, environ=environ, program=program) as process:
        yield process.listening()


def write_config(
    folder: Path, vercel: str, *, sources: str = "", projects: str = "", more: str = "", fed: str = "[shop]"
) -> Path:
    """A relay.yaml whose source `hook` takes Standard Webhooks and settles at once."""
    sources = sources or textwrap.dedent(
        f"""\
        hook:
          provider: standard-webhooks
          secrets: [whsec_{SECRET_BASE64}]
          settle: 0
          projects: {fed}
          rules: [{{src_images: ["{{{{ url }}}}"]}}]
        """
    )
    projects = projects or f"shop: {{project: my-shop, token: {TOKEN}}}\n"
    text = (
        f"store: sqlite:///relay.db\nvercel_api: {vercel}\n{more}"
        f"projects:\n{textwrap.indent(projects, '  ')}sources:\n{textwrap.indent(sources, '  ')}"
    )
    path = folder / "relay.yaml"
    path.write_text(text)
    return path


SECRET_BASE64 = "ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2U="


def eventually(check: Callable[[], bool], seconds: float = 30, what: str = "") -> None:
    """Asks until the answer is yes; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or check}"
        time.sleep(0.02)


def calls(vercel: str) -> list[dict[str, object]]:
    """What the fake Vercel was asked."""
    document: dict[str, list[dict[str, object]]] = httpx.get(f"{vercel}/_calls", timeout=30).json()
    return document["calls"]
