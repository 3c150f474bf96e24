"""Two hundred kills under load on each store: nothing that was acknowledged is lost. Run by `make soak`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance.test_durability import Load, assert_purged
from support.loopback import serve
from support.process import relay, write_config

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

KILLS = int(os.environ.get("SOAK_KILLS", "200"))


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


def test_two_hundred_kills_under_load_lose_nothing(
    tmp_path: Path, vercel: tuple[FakeVercel, str], store_url: str
) -> None:
    fake, url = vercel
    write_config(tmp_path, url, more="dispatch: {timeout: 1}\n")
    environ = {"RELAY_STORE": store_url}
    chance = random.Random(200)  # noqa: S311 - the same moments in every run, as far as that can be
    acked: list[str] = []
    for number in range(KILLS):
        with relay(tmp_path, environ=environ) as process:
            load = Load(f"kill{number}")

            async def murder(load: Load = load, moment: float = chance.uniform(0, 0.3)) -> None:
                running = asyncio.create_task(load.run(process.address, lambda: process.returncode is not None))
                while not load.acked:
                    await asyncio.sleep(0.005)
                await asyncio.sleep(moment)
                process.signal(signal.SIGKILL)
                await running

            asyncio.run(murder())
            assert process.wait() == -signal.SIGKILL
            assert set(load.refused) <= {503}
            acked += load.acked
    assert len(acked) >= KILLS
    with relay(tmp_path, environ=environ):
        assert_purged(fake, acked, 300)
    times = Counter(image for call in fake.calls if call["status"] == 200 for image in call["body"]["srcImages"])
    again = sum(count - 1 for image in acked for count in [times[image]])
    # What was in a call when its process died is asked for once more, and nothing else is.
    assert max(times[image] for image in acked) <= 3
    print(
        f"\n{store_url.partition(':')[0]}: {KILLS} kills, {len(acked)} acknowledged, none lost, {again} asked for again"
    )
