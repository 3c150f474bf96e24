"""A day's webhooks in minutes: a relay whose clock runs fast, so that days pass and retention has its work to do.

Memory, file descriptors, threads and the database are looked at every few seconds; once two days have passed none may
grow any more. `SOAK_MINUTES` says for how long. Run by `make soak`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from support.loopback import serve
from support.process import SECRET_BASE64, Process, eventually, relay, write_config
from support.webhooks import replaced, signed

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

SECONDS = float(os.environ.get("SOAK_MINUTES", "5")) * 60
DAYS = 6  # that pass in this time; what is finished is kept for one
FASTER = DAYS * 86_400 / SECONDS
RATE = 30  # webhooks a second
ASSETS = 500  # each with three addresses in turn, all of which are remembered and purged
WARM = 1 / 2  # of the time, after which nothing may grow: the first days fill the store up to its level

# A webhook is some minutes old by that clock when it has crossed the loopback.
_SOURCES = f"""\
hook:
  provider: standard-webhooks
  secrets: [whsec_{SECRET_BASE64}]
  tolerance: 86400
  settle: 0
"""

_FAST_CLOCK = """
import sys
from datetime import UTC, datetime, timedelta
from service.domain import clock

begun, faster = float(sys.argv.pop(1)), float(sys.argv.pop(1))
start = datetime.fromtimestamp(begun, UTC)
clock.system_clock = lambda: start + (datetime.now(UTC) - start) * faster

import service.bootstrap
service.bootstrap._PRUNE_EVERY = 1.0

from service.cli import main
main()
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. Sizes are in MB."""

    at: float
    rss: float
    files: int
    threads: int
    database: float
    receipts: int


def look(process: Process, begun: float, store: str, folder: Path) -> Sample:
    seen = psutil.Process(process.pid)
    if store.startswith("sqlite:"):
        size = sum(path.stat().st_size for path in folder.glob("relay.db*"))
        with closing(sqlite3.connect(folder / "relay.db")) as database:
            (receipts,) = database.execute("SELECT count(*) FROM receipts").fetchone()
    else:
        with psycopg.connect(store, autocommit=True) as connection:
            # The server's own look for what can be vacuumed comes once a minute: here, that is once in half a day.
            connection.execute("VACUUM")
            row = connection.execute(
                "SELECT sum(pg_total_relation_size(oid)), (SELECT count(*) FROM receipts) FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
            ).fetchone()
        assert row is not None
        size, receipts = int(row[0]), int(row[1])
    memory = seen.memory_info().rss
    return Sample(time.monotonic() - begun, memory / 1e6, seen.num_fds(), seen.num_threads(), size / 1e6, receipts)


@dataclass(slots=True)
class Sender:
    """Webhooks at an even rate, dated by the relay's fast clock."""

    http: httpx.AsyncClient
    begun: float
    sent: int = 0
    refused: int = 0
    broken: int = 0

    async def run(self, until: float) -> None:
        start = time.monotonic()
        while time.monotonic() < until:
            burst = int((time.monotonic() - start) * RATE) - self.sent
            await asyncio.gather(*(self._one() for _ in range(min(burst, 20))))
            await asyncio.sleep(0.05)

    async def _one(self) -> None:
        self.sent += 1
        asset = self.sent % ASSETS
        body = replaced(f"asset-{asset}", f"https://img.example.com/{asset}/{self.sent // ASSETS % 3}.jpg")
        virtual = self.begun + (time.time() - self.begun) * FASTER
        number = self.sent
        self.refused += await self._status(body, signed(f"msg_{number}", body, virtual)) != 200
        # One in ten is forged: what is refused is kept too, up to a number.
        if number % 10 == 0:
            assert await self._status(body + b" ", signed(f"bad_{number}", body, virtual)) == 401

    async def _status(self, body: bytes, headers: dict[str, str]) -> int:
        """Sent again where an idle connection was closed just then, as any sender would."""
        while True:
            try:
                return (await self.http.post("/hooks/hook", content=body, headers=headers)).status_code
            except httpx.TransportError:
                self.broken += 1


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


def test_a_week_of_webhooks_leaves_nothing_behind(
    tmp_path: Path, vercel: tuple[FakeVercel, str], store_url: str
) -> None:
    fake, url = vercel
    write_config(tmp_path, url, sources=_SOURCES, more="retention: {receipts: 1, purges: 1, dead: 1, refused: 200}\n")
    begun = time.time()
    fast = ("-c", _FAST_CLOCK, str(begun), str(FASTER))
    samples: list[Sample] = []

    async def soak(process: Process) -> Sender:
        async with httpx.AsyncClient(base_url=process.address, timeout=30) as http:
            sender = Sender(http, begun)
            start = time.monotonic()
            sending = asyncio.create_task(sender.run(start + SECONDS))
            while not sending.done():
                await asyncio.sleep(SECONDS / 60)
                samples.append(await asyncio.to_thread(look, process, start, store_url, tmp_path))
            await sending
            return sender

    with relay(tmp_path, environ={"RELAY_STORE": store_url}, program=fast) as process:
        sender = asyncio.run(soak(process))
        eventually(lambda: _pending(process) == 0, 60, "everything is sent in the end")
        assert "Traceback" not in process.output
    warm = [sample for sample in samples if sample.at > SECONDS * WARM]
    early, late = warm[: len(warm) // 3], warm[-(len(warm) // 3) :]
    figures = {name: (_median(early, name), _median(late, name)) for name in Sample.__slots__ if name != "at"}
    _tell(store_url, sender, samples, figures)
    assert sender.refused == 0
    assert sender.broken <= sender.sent / 500
    assert sender.sent > RATE * SECONDS * 0.3, "too busy a machine for this to say anything"
    assert figures["receipts"][1] < sender.sent / 2, "retention has removed what was finished"
    assert figures["rss"][1] < figures["rss"][0] * 1.03 + 2
    assert figures["files"][1] <= figures["files"][0] + 10  # connections kept open come and go
    assert figures["threads"][1] <= figures["threads"][0]
    assert figures["database"][1] < figures["database"][0] * 1.1 + 1
    assert len(fake.calls) > 0


def _median(samples: list[Sample], name: str) -> float:
    return float(statistics.median(getattr(sample, name) for sample in samples))


def _pending(process: Process) -> float:
    """Purges that wait or are being sent."""
    text = httpx.get(f"{process.address}/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("relay_purges{") and "done" not in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines if 'state="pending"' in line or "in_flight" in line)


def _tell(store: str, sender: Sender, samples: list[Sample], figures: dict[str, Any]) -> None:
    print(f"\n{store.partition(':')[0]}: {sender.sent} webhooks and {DAYS} days in {SECONDS:.0f} s")
    print("      s    RSS MB  files  threads  database MB  receipts")
    for sample in samples[:: max(1, len(samples) // 12)]:
        print(
            f"{sample.at:7.0f}  {sample.rss:8.1f}  {sample.files:5}  {sample.threads:7}  {sample.database:11.1f}"
            f"  {sample.receipts:8}"
        )
    for name, (before, after) in figures.items():
        print(f"{name}: {before:.1f} when warm, {after:.1f} in the end")
