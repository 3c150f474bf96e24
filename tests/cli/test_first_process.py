"""As the first process of a container: in a process namespace of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest
from support.process import Process, eventually, running, write_config

from service.cli.first_process import heed_sigterm, reap_orphans

pytestmark = pytest.mark.e2e

# `unshare` waits outside; what it starts is process 1 inside.
_UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")
_FIRST = f"import os, sys; os.execvp('unshare', [*{_UNSHARE!r}, sys.executable, '-m', 'service', *sys.argv[1:]])"


@cache
def _may_unshare() -> bool:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    return subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True).returncode == 0


@pytest.fixture(autouse=True)
def namespaces() -> None:
    if not _may_unshare():
        pytest.skip("a process namespace takes root, and util-linux")


@contextmanager
def first(folder: Path, *arguments: str) -> Iterator[tuple[Process, int]]:
    """`serve` as process 1, and its number as seen from outside."""
    with running("serve", "--port", "0", *arguments, cwd=folder, program=("-c", _FIRST)) as process:
        eventually(lambda: bool(children(process.pid)), what="it is started")
        (inside,) = children(process.pid)
        yield process, inside


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def names(process: int) -> list[str]:
    """What the children of a process are called, those included that ended and were not taken note of."""
    return [Path(f"/proc/{one}/comm").read_text().strip() for one in children(process)]


def leave_an_orphan(inside: int) -> None:
    """As a command run in the container does that leaves something behind: it comes to process 1, and then ends."""
    command = "sleep 0.2 & exec true"
    subprocess.run(["nsenter", "--target", str(inside), "--pid", "sh", "-c", command], check=True, timeout=10)
    eventually(lambda: "sleep" in names(inside), what="the orphan came to process 1")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_orphans_are_taken_note_of_and_harm_nothing(tmp_path: Path, workers: str) -> None:
    write_config(tmp_path, "http://127.0.0.1:9")
    with first(tmp_path, "--workers", workers) as (process, inside):
        process.listening()
        leave_an_orphan(inside)
        eventually(lambda: "sleep" not in names(inside), what="its end was taken note of")
        eventually(lambda: ready(process.address), what="it goes on")
        os.kill(inside, signal.SIGTERM)
        assert process.wait() == 0, process.output


def test_a_sigterm_before_it_listens_is_not_lost(tmp_path: Path) -> None:
    config = tmp_path / "relay.yaml"
    os.mkfifo(config)
    # Whoever opens the writing end waits until the relay has come to reading its configuration.
    with first(tmp_path) as (process, inside), config.open("wb"):
        os.kill(inside, signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM, process.output


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_elsewhere_nothing_is_changed() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGCHLD)}
    heed_sigterm()
    reap_orphans()
    assert {number: signal.getsignal(number) for number in before} == before
