"""Several real processes on one store, and one that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.store import open_store
from service.store.inbox import Inbox
from service.store.migrate import migrations
from service.store.purges import Purges
from service.store.queue import Queue

OPEN = """
import asyncio, os, sys
from service.store import open_store

async def main():
    sys.stdin.readline()
    engine = await open_store(sys.argv[1])
    print(len(engine.applied), sorted(await engine.lanes(str(os.getpid()), 60).own(["shop"])), flush=True)
    sys.stdin.readline()
    await engine.close()

asyncio.run(main())
"""

LOAD = """
import asyncio, sys
from support.stored import accept, Rules, claimed, event, receipt
from service.store import open_store
from service.store import open_store
from service.store.inbox import Inbox

async def main():
    engine = await open_store(sys.argv[1])
    inbox = Inbox(engine)

    async def sender(name):
        number = 0
        while True:
            number += 1
            url = f"/{name}/{number}.png"
            stored = await accept(inbox, receipt(url), [event(url, id=url)], Rules())
            print(stored.id, url, flush=True)
            if number % 10 == 0:
                await claimed(engine)

    await asyncio.gather(*(sender(n) for n in range(8)))

asyncio.run(main())
"""


@contextmanager
def python(code: str, url: str) -> Iterator[subprocess.Popen[str]]:
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    with subprocess.Popen(
        [sys.executable, "-c", code, url],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return line.strip()


def test_processes_that_start_at_once_all_open_a_new_store_and_one_leads(store_url: str) -> None:
    url = store_url
    with python(OPEN, url) as one, python(OPEN, url) as two, python(OPEN, url) as three:
        processes = (one, two, three)
        for process in processes:
            say(process)
        answers = sorted(heard(process).split() for process in processes)
        everything = str(len(migrations(store_url.partition(":")[0].replace("postgresql", "postgres"))))
        assert [applied for applied, _ in answers] == ["0", "0", everything]
        assert sorted(leads for _, leads in answers) == ["['shop']", "[]", "[]"]
        for process in processes:
            say(process)
            assert process.wait(10) == 0


async def test_a_writer_that_is_killed_in_mid_load_has_stored_all_it_acknowledged(store_url: str) -> None:
    acked: dict[str, str] = {}
    for enough in (60, 150):
        with python(LOAD, store_url) as process:
            for _ in range(enough):
                receipt_id, image = heard(process).split()
                acked[receipt_id] = image
            process.send_signal(signal.SIGKILL)
            assert process.stdout is not None
            # Not `communicate`, which passes over what `readline` has buffered and so begins in mid-line.
            acked |= dict(line.split() for line in process.stdout if line.endswith(".png\n"))
    engine = await open_store(store_url)
    queue = Queue(engine)
    await queue.recover("shop")
    received = {receipt.id for receipt in await Inbox(engine).list(limit=100_000)}
    waiting = {purge.src_image for purge in await Purges(engine).list(state="pending", limit=100_000)}
    assert set(acked) <= received
    assert set(acked.values()) <= waiting
    await engine.close()
