"""A database that dies, a process cut off from it, clocks that differ: nothing is lost, and no lane runs twice."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from support.loopback import serve
from support.postgres import fresh_schema, own_server
from support.process import PROGRAM, Process, eventually, relay, write_config
from support.proxy import proxy
from support.watched import Watched
from support.webhooks import replaced, signed

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

_LEASE = 1 + 10.0  # the call's time-out, and what a lease lasts beyond it
_AHEAD, _BEHIND = 600, -600

_OTHER_CLOCK = """
import sys
from datetime import UTC, datetime, timedelta
from service.domain import clock

offset = timedelta(seconds=float(sys.argv.pop(1)))
clock.system_clock = lambda: datetime.now(UTC) + offset

from service.cli import main
main()
"""


class Members:
    """Processes a, b and c of one relay, what was sent to them, and what Vercel saw."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.fake = FakeVercel(latency=0.1)
        self.watched = Watched(create_fake_vercel(self.fake))
        self._folder = folder
        self._stack = stack
        self.processes: dict[str, Process] = {}
        self.accepted: list[tuple[str, str]] = []  # action and image, in the order of the answers
        self._numbers = itertools.count()
        vercel = stack.enter_context(serve(self.watched))
        write_config(
            folder,
            vercel,
            projects="shop: {project: my-shop, token: '${RELAY_VERCEL_TOKEN}'}\n",
            more="dispatch: {timeout: 1}\n",
        )

    def add(self, name: str, store: str, program: tuple[str, ...] = PROGRAM) -> Process:
        environ = {"RELAY_STORE": store, "RELAY_VERCEL_TOKEN": f"vcp_fakefakefake0123456789-{name}"}
        process = relay(self._folder, environ=environ, program=program)
        self.processes[name] = self._stack.enter_context(process)
        return self.processes[name]

    def send(self, *to: str, images: int = 6, skewed: float = 0) -> int:
        """Each image is replaced, then deleted, at these processes in turn; how many were acknowledged."""
        before = len(self.accepted)
        for number, name in zip(range(images), itertools.cycle(to), strict=False):
            image = f"https://img.example.com/{next(self._numbers)}.jpg"
            for event, action in (("asset.replaced", "invalidate"), ("asset.deleted", "delete")):
                body = replaced(image, image, event)
                headers = signed(f"msg_{image}_{action}_{number}", body, time.time() + skewed)
                with httpx.Client(base_url=self.processes[name].address, timeout=30) as http:
                    answer = http.post("/hooks/hook", content=body, headers=headers)
                assert answer.status_code in (200, 503), answer.text
                if answer.status_code == 200:
                    self.accepted.append((action, image))
        return len(self.accepted) - before

    def calls_for(self, image: str) -> list[str]:
        """What Vercel was asked for, in order, and answered."""
        return [
            "delete" if "delete" in call["path"] else "invalidate"
            for call in self.fake.calls
            if call["status"] == 200 and image in call["body"]["srcImages"]
        ]

    def all_purged(self) -> bool:
        """Each image as its last accepted event wants it: what a deletion follows may have been absorbed."""
        return all(self.calls_for(image)[-1:] == [action] for image, action in dict(self._last()).items())

    def _last(self) -> Iterator[tuple[str, str]]:
        for action, image in self.accepted:
            yield image, action

    def owner(self, store: str) -> str:
        with psycopg.connect(store) as connection:
            row = connection.execute("SELECT worker FROM lanes WHERE project = 'shop'").fetchone()
        assert row is not None
        pid = int(row[0].split(":")[1])
        return next(name for name, process in self.processes.items() if process.pid == pid)

    def settled(self) -> None:
        """The end of every test: all is done, and no two processes ever called for the project at one time."""
        eventually(self.all_purged, 60)
        assert self.watched.overlapping() == []


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    with ExitStack() as stack:
        yield Members(tmp_path, stack)


def test_a_database_that_is_killed_and_started_again(members: Members) -> None:
    with own_server() as server:
        for name in "abc":
            members.add(name, server.url)
        assert members.send("a", "b", "c") == 12
        server.crash()
        assert members.send("a", "b", "c", images=3) == 0, "without a database nothing is acknowledged"
        server.start()
        eventually(lambda: members.send("a", "b", "c", images=3) == 6)
        members.settled()
        for process in members.processes.values():
            process.stop()


def test_a_process_cut_off_from_the_database_calls_no_more_once_its_lease_has_ended(members: Members) -> None:
    with own_server() as server, proxy(server.socket) as way:
        cut_off = f"postgresql://postgres@127.0.0.1:{way.port}/postgres"
        members.add("a", cut_off)
        members.send("a")
        eventually(lambda: members.owner(server.url) == "a")
        for name in "bc":
            members.add(name, server.url)
        members.send("a", "b", "c")
        members.settled()
        way.cut()
        cut_at = time.monotonic()
        assert members.send("b", "c", images=4) == 8
        eventually(members.all_purged, 60)
        assert members.owner(server.url) in ("b", "c")
        assert not [span for span in members.watched.spans if span.process == "a" and span.begun > cut_at + _LEASE]
        way.mend()
        eventually(lambda: members.send("a", images=1) == 2)
        members.settled()
        assert {span.process for span in members.watched.spans} >= {"a"}
        for process in members.processes.values():
            process.kill()


@pytest.mark.parametrize("offset", [_AHEAD, _BEHIND], ids=["ahead", "behind"])
def test_a_clock_ten_minutes_off_costs_nothing_but_time(members: Members, offset: int) -> None:
    with fresh_schema() as store:
        members.add("a", store, ("-c", _OTHER_CLOCK, str(offset)))
        assert members.send("a", skewed=offset) == 12, "its own clock is the one it judges a signature by"
        members.settled()
        assert members.owner(store) == "a"
        for name in "bc":
            members.add(name, store)
        members.send("b", "c", images=4)
        members.processes["a"].kill()
        members.settled()
        assert members.owner(store) in ("b", "c")
