"""A database that dies, a process cut off from it, clocks that differ: nothing is lost, and no lane runs twice."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from support.loopback import serve
from support.postgres import fresh_schema, own_server
from support.process import SECRET_BASE64, Process, eventually, relay, write_config
from support.proxy import proxy
from support.watched import Watched
from support.webhooks import replaced, signed

from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

_LONG_CALL = 5  # seconds: longer than another process takes to see that a lease has ended
_AHEAD, _BEHIND = 600, -600
_PROMPT = 15  # seconds: on a busy machine, and nothing beside what those clocks are off by

# Two actions, so that their order can be told: a deletion must not be undone by an older replacement.
_SOURCES = f"""\
hook:
  provider: standard-webhooks
  secrets: [whsec_{SECRET_BASE64}]
  settle: 0
  rules:
    - {{when: 'asset.kind == "replaced"', src_images: ["{{{{ url }}}}"], action: invalidate}}
    - {{when: 'asset.kind == "deleted"', src_images: ["{{{{ url }}}}"], action: delete}}
"""

# What Vercel may be asked for one image that was replaced, then deleted: a process that dies costs a call once more.
_IN_ORDER = re.compile(r"(invalidate ){0,2}(delete ){0,2}")

_OTHER_CLOCK = """
import sys
import time
from datetime import UTC, datetime
from service.domain import clock

offset, right = float(sys.argv.pop(1)), time.time
time.time = lambda: right() + offset
clock.system_clock = lambda: datetime.fromtimestamp(time.time(), UTC)

from service.cli import main
main()
"""


class Members:
    """Processes a, b and c of one relay, what was sent to them, and what Vercel saw."""

    def __init__(self, folder: Path, stack: ExitStack, call_seconds: int = 1) -> None:
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
            sources=_SOURCES,
            more=f"dispatch: {{timeout: {call_seconds}}}\n",
        )

    def add(self, name: str, store: str, program: tuple[str, ...] = ()) -> Process:
        environ = {"RELAY_STORE": store, "RELAY_VERCEL_TOKEN": f"vcp_fakefakefake0123456789-{name}"}
        process = relay(self._folder, environ=environ, program=program)
        self.processes[name] = self._stack.enter_context(process)
        return self.processes[name]

    def send(self, *to: str, images: int = 6) -> int:
        """Each image is replaced, then deleted, at these processes in turn; how many were acknowledged."""
        before = len(self.accepted)
        for number, name in zip(range(images), itertools.cycle(to), strict=False):
            image = f"https://img.example.com/{next(self._numbers)}.jpg"
            for event, action in (("asset.replaced", "invalidate"), ("asset.deleted", "delete")):
                body = replaced(image, image, event)
                headers = signed(f"msg_{image}_{action}_{number}", body, time.time())
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
        """The end of every test: all is done, in order, and no two processes called for the project at one time."""
        eventually(self.all_purged, 60)
        assert self.watched.overlapping() == []
        images = {image for call in self.fake.calls for image in call["body"]["srcImages"]}
        assert images
        for image in images:
            asked = self.calls_for(image)
            assert _IN_ORDER.fullmatch("".join(f"{action} " for action in asked)), f"{image}: {asked}"


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


def test_a_process_cut_off_in_mid_call_is_replaced_when_its_lease_has_ended_and_not_before(tmp_path: Path) -> None:
    with ExitStack() as stack, own_server() as server, proxy(server.socket) as way:
        members = Members(tmp_path, stack, _LONG_CALL)
        members.add("a", f"postgresql://postgres@127.0.0.1:{way.port}/postgres")
        members.send("a", images=2)
        eventually(lambda: members.owner(server.url) == "a")
        for name in "bc":
            members.add(name, server.url)
        members.settled()
        members.fake.script(Answer(status="hang", seconds=600, times=1))
        before = len(members.fake.calls)
        members.send("b", images=1)
        eventually(lambda: len(members.fake.calls) > before, what="a call by the process that has the lane")
        way.cut()
        cut_at = time.monotonic()
        assert members.send("b", "c", images=4) == 8, "the others take webhooks in"
        eventually(members.all_purged, 60)
        took_over = min(span.begun for span in members.watched.spans if span.process in ("b", "c"))
        (hung,) = [span for span in members.watched.spans if span.process == "a" and span.ended > cut_at]
        assert hung.begun < cut_at, "it is in the middle of a call when it is cut off"
        assert hung.ended - hung.begun > _LONG_CALL * 0.9, "which Vercel does not answer"
        assert took_over > hung.ended, "nobody else calls for the project as long as that call may last"
        assert members.owner(server.url) in ("b", "c")
        assert members.send("a", images=1) == 0, "it says that it cannot store, and keeps no sender waiting"
        way.mend()
        eventually(lambda: members.send("a", images=1) == 2)
        members.settled()
        for process in members.processes.values():
            process.kill()


@pytest.mark.parametrize("offset", [_AHEAD, _BEHIND], ids=["ahead", "behind"])
def test_a_clock_ten_minutes_off_delays_nothing(members: Members, offset: int) -> None:
    other_clock = ("-c", _OTHER_CLOCK, str(offset))
    with fresh_schema() as store:
        first = members.add("a", store, other_clock)
        assert members.send("a") == 12, "it judges a signature by the database's clock"
        eventually(members.all_purged, _PROMPT)
        for name in "bc":
            members.add(name, store)
        members.send("b", "c", images=4)
        eventually(members.all_purged, _PROMPT, "what the others took in, and it sends")
        assert members.owner(store) == "a"
        assert [line["seconds"] for line in _told(first, "clock.off")] == [pytest.approx(offset, abs=1)]
        first.kill()
        members.send("b", "c", images=4)
        members.settled()
        assert members.owner(store) in ("b", "c")
        members.add("a", store, other_clock)
        members.send("a", images=4)
        eventually(members.all_purged, _PROMPT, "what it took in, and another sends")
        assert members.owner(store) in ("b", "c")
        members.settled()
        assert not _told(members.processes["b"], "clock.off"), "whose clock is right"
        with psycopg.connect(store) as connection:
            query = "SELECT max(abs(received_at / 1000.0 - extract(epoch FROM now()))) FROM receipts"
            row = connection.execute(query).fetchone()
        assert row is not None
        assert row[0] < _AHEAD / 2, "every receipt is dated by the database's clock"


def _told(process: Process, event: str) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in process.lines if line.startswith("{"))
    return [line for line in lines if line["event"] == event]
