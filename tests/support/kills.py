"""Senders that do not stop, a relay that is killed again and again, and whether all that it acknowledged is purged."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx
import pytest

from service.testing.fake_vercel import FakeVercel
from support.process import Process, eventually, relay, write_config
from support.webhooks import replaced, signed

SENDERS = 12

# A process that is killed tells nothing of what it ran through, so that its being watched is only time.
_UNWATCHED = {name: "" for name in os.environ if name.startswith("COVERAGE_")}


class Load:
    """Senders that post one webhook after another until told to stop, and remember which were acknowledged."""

    def __init__(self, prefix: str) -> None:
        self.acked: list[str] = []
        self.refused: list[int] = []
        self._prefix = prefix
        self._serial = 0

    async def run(self, address: str, until: Callable[[], bool]) -> None:
        async with httpx.AsyncClient(
            base_url=address, timeout=20, limits=httpx.Limits(max_connections=SENDERS)
        ) as http:
            await asyncio.gather(*(self._sender(http, until) for _ in range(SENDERS)))

    async def _sender(self, http: httpx.AsyncClient, until: Callable[[], bool]) -> None:
        while not until():
            self._serial += 1
            name = f"{self._prefix}-{self._serial}"
            url = f"https://img.example.com/{name}.jpg"
            body = replaced(name, url)
            try:
                answer = await http.post("/hooks/hook", content=body, headers=signed(f"msg_{name}", body))
            except httpx.HTTPError:
                await asyncio.sleep(0.01)
                continue
            if answer.status_code == 200:
                assert answer.json()["status"] == "accepted"
                self.acked.append(url)
            else:
                self.refused.append(answer.status_code)
                await asyncio.sleep(0.01)


def purged(fake: FakeVercel) -> set[str]:
    """Every image of a call that Vercel answered with 200."""
    return {image for call in fake.calls if call["status"] == 200 for image in call["body"]["srcImages"]}


def assert_purged(fake: FakeVercel, acked: Iterable[str], seconds: float = 60) -> None:
    wanted = set(acked)
    try:
        eventually(lambda: wanted <= purged(fake), seconds)
    except AssertionError:
        missing = wanted - purged(fake)
        pytest.fail(f"{len(missing)} of {len(wanted)} acknowledged images were never purged: {sorted(missing)[:5]}")


def killed(folder: Path, vercel: str, store: str, rounds: int, longest: float) -> list[str]:
    """A relay that is started and killed under load so many times, each at a moment of chance up to `longest` seconds
    after its first acknowledgement; what it acknowledged. It is left as the last kill left it."""
    write_config(folder, vercel, more="dispatch: {timeout: 1}\n")
    chance = random.Random(rounds)  # noqa: S311 - the same moments in every run, as far as that can be
    acked: list[str] = []
    for number in range(rounds):
        with relay(folder, environ=_UNWATCHED | {"RELAY_STORE": store}) as process:
            load = Load(f"round{number}")
            asyncio.run(_kill_under(load, process, chance.uniform(0, longest)))
            assert process.wait() == -signal.SIGKILL
        assert set(load.refused) <= {503}
        acked += load.acked
    assert len(acked) >= rounds
    return acked


async def _kill_under(load: Load, process: Process, moment: float) -> None:
    running = asyncio.create_task(load.run(process.address, lambda: process.returncode is not None))
    while not load.acked:
        await asyncio.sleep(0.005)
    await asyncio.sleep(moment)
    process.signal(signal.SIGKILL)
    await running
