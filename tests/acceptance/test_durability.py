"""Everything that got a 200 is purged, whatever happens to the process, its disk or Vercel in between."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.kills import Load, assert_purged, killed, purged
from support.loopback import serve
from support.process import Process, eventually, relay, write_config
from support.webhooks import replaced, signed

from service.settings.model import Project
from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.durability

ROUNDS = 50
CONCURRENCY = Project(project="").concurrency


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


def test_many_sigkills_under_load_lose_nothing(tmp_path: Path, vercel: tuple[FakeVercel, str], store_url: str) -> None:
    fake, url = vercel
    acked = killed(tmp_path, url, store_url, ROUNDS if store_url.startswith("sqlite:") else ROUNDS // 5, 0.4)
    with relay(tmp_path, environ={"RELAY_STORE": store_url}):
        assert_purged(fake, acked)


def _full(process: Process, folder: Path) -> Callable[[], object]:
    """No file of the process may grow any more; undone by the function that is given back."""
    size = max(path.stat().st_size for path in folder.iterdir())
    limited = psutil.Process(process.pid)
    limited.rlimit(psutil.RLIMIT_FSIZE, (size, -1))
    return lambda: limited.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))


def _read_only(process: Process, folder: Path) -> Callable[[], object]:
    """The database's files cannot be written, not even by root or through a file that is open already."""

    def attribute(change: str) -> int:
        # Not the shared memory: a process that is just writing to that gets SIGBUS, which is another story.
        files = [str(path) for path in folder.glob("relay.db*") if path.suffix != ".db-shm"]
        return subprocess.run(["chattr", change, *files], capture_output=True, check=False).returncode

    if attribute("+i") != 0:
        pytest.skip("needs root and a file system with attributes, to make an open file read-only")
    return lambda: attribute("-i")


@pytest.mark.parametrize("take_away", [_full, _read_only])
def test_a_disk_that_cannot_be_written_is_a_503_and_heals(
    tmp_path: Path, vercel: tuple[FakeVercel, str], take_away: Callable[[Process, Path], Callable[[], Any]]
) -> None:
    fake, url = vercel
    write_config(tmp_path, url)
    load = Load(take_away.__name__)
    with relay(tmp_path) as process:

        async def trouble() -> None:
            stop = asyncio.Event()
            running = asyncio.create_task(load.run(process.address, stop.is_set))
            try:
                await _until(lambda: len(load.acked) > 20)
                give_back = await asyncio.to_thread(take_away, process, tmp_path)
                try:
                    await _until(lambda: load.refused.count(503) > 5)
                finally:
                    await asyncio.to_thread(give_back)
                before = len(load.acked)
                await _until(lambda: len(load.acked) > before + 20)
            finally:
                stop.set()
                await running

        asyncio.run(trouble())
        assert set(load.refused) == {503}
        assert_purged(fake, load.acked)


async def _until(check: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.01)


def test_vercel_down_for_the_whole_burst_then_back(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    fake.script(Answer(status=503, times=None))
    write_config(tmp_path, url)
    images = 400
    load = Load("burst")
    with relay(tmp_path) as process:
        asyncio.run(load.run(process.address, lambda: len(load.acked) >= images))
        eventually(lambda: len(fake.calls) >= 3, what="a call while Vercel is down")
        down = len(fake.calls)
        assert down < 40, "a Vercel that is down is not to be called for every batch"
        fake.clear_script()
        fake.script(Answer(status=200, seconds=0.2, times=None))
        assert_purged(fake, load.acked)
        assert len(fake.calls) - down <= len(load.acked) / 8 * 1.5 + 20
        # Each call takes longer than this stretch, so it cannot hold more of them than may be under way at a time.
        assert _most_within(0.15, [str(call["at"]) for call in fake.calls[down:]]) <= CONCURRENCY


def _most_within(seconds: float, moments: list[str]) -> int:
    """The largest number of moments in any stretch of this length."""
    from datetime import datetime

    times = sorted(datetime.fromisoformat(moment).timestamp() for moment in moments)
    return max((sum(start <= moment < start + seconds for moment in times) for start in times), default=0)


def test_sigterm_finishes_the_call_in_flight_and_keeps_the_rest(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    fake.script(Answer(status=200, seconds=2, times=1))
    fake.script(Answer(status=503, times=None))
    write_config(tmp_path, url)
    with relay(tmp_path) as process:
        first = replaced("first", "https://img.example.com/first.jpg")
        answer = httpx.post(f"{process.address}/hooks/hook", content=first, headers=signed("msg_first", first))
        assert answer.status_code == 200
        eventually(lambda: len(fake.calls) == 1)
        later = replaced("later", "https://img.example.com/later.jpg")
        httpx.post(f"{process.address}/hooks/hook", content=later, headers=signed("msg_later", later))
        begun = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - begun < 10
    assert "https://img.example.com/first.jpg" in purged(fake)
    fake.clear_script()
    with relay(tmp_path):
        assert_purged(fake, ["https://img.example.com/later.jpg"])
    assert sum("https://img.example.com/first.jpg" in call["body"]["srcImages"] for call in fake.calls) == 1


def test_no_call_that_hangs_and_no_slow_sender_keeps_it(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    fake.script(Answer(status="hang", seconds=60, times=1))
    write_config(tmp_path, url)
    with relay(tmp_path) as process:
        body = replaced("slow", "https://img.example.com/slow.jpg")
        httpx.post(f"{process.address}/hooks/hook", content=body, headers=signed("msg_slow", body))
        eventually(lambda: len(fake.calls) == 1)
        host, _, port = process.address.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as sender:
            sender.sendall(b"POST /hooks/hook HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx")
            begun = time.monotonic()
            assert process.stop() == 0
            assert time.monotonic() - begun < 10
            assert sender.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert "Traceback" not in process.output
    with relay(tmp_path):
        assert_purged(fake, ["https://img.example.com/slow.jpg"])
