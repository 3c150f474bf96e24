"""Several relay processes on one PostgreSQL: whatever happens to one of them, or to the database, nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import httpx
import psycopg
import pytest
from support.loopback import serve
from support.postgres import fresh_schema
from support.process import TOKEN, Process, eventually, relay, write_config
from support.webhooks import replaced, signed

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

PROJECTS = ("shop", "blog")


class Cluster:
    """Processes on one database, and what was sent to them."""

    def __init__(self, processes: list[Process], fake: FakeVercel, store: str) -> None:
        self.processes = processes
        self.fake = fake
        self.store = store
        self.accepted: set[str] = set()
        self._numbers = count()

    def send(self, *to: int, events: int = 10) -> None:
        """Webhooks to these processes in turn; what is acknowledged is remembered."""
        with ExitStack() as stack:
            clients = [
                stack.enter_context(httpx.Client(base_url=self.processes[one].address, timeout=30)) for one in to
            ]
            for number in range(events):
                name = str(next(self._numbers))
                body = replaced(name, f"https://img.example.com/{name}.jpg")
                http = clients[number % len(clients)]
                answer = http.post("/hooks/hook", content=body, headers=signed(f"msg_{name}", body))
                if answer.status_code == 200:
                    self.accepted.add(f"https://img.example.com/{name}.jpg")
                else:
                    assert answer.status_code == 503, answer.text

    def purged(self, project: str) -> set[str]:
        return {
            image
            for call in self.fake.calls
            if call["status"] == 200 and call["query"]["projectIdOrName"] == f"my-{project}"
            for image in call["body"]["srcImages"]
        }

    def all_purged(self) -> bool:
        return all(self.accepted <= self.purged(project) for project in PROJECTS)

    def owners(self) -> dict[str, str]:
        """The worker of each project's lane."""
        with psycopg.connect(self.store) as connection:
            rows = connection.execute("SELECT project, worker FROM lanes WHERE project NOT LIKE '@%'").fetchall()
        return dict(rows)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    fake = FakeVercel()
    with ExitStack() as stack:
        url = stack.enter_context(serve(create_fake_vercel(fake)))
        store = stack.enter_context(fresh_schema())
        projects = "".join(f"{name}: {{project: my-{name}, token: {TOKEN}}}\n" for name in PROJECTS)
        write_config(tmp_path, url, projects=projects, more="dispatch: {timeout: 1}\n", fed="[shop, blog]")
        processes = [stack.enter_context(relay(tmp_path, environ={"RELAY_STORE": store})) for _ in range(3)]
        yield Cluster(processes, fake, store)


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """As good as cut off from everything: it neither acts nor dies."""
    process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.signal(signal.SIGCONT)


def number_of(cluster: Cluster, worker: str) -> int:
    pid = int(worker.split(":")[1])
    return next(index for index, one in enumerate(cluster.processes) if one.pid == pid)


def test_any_process_takes_webhooks_and_each_image_is_purged_once(cluster: Cluster) -> None:
    cluster.send(0, 1, 2, events=60)
    assert len(cluster.accepted) == 60
    eventually(cluster.all_purged)
    for project in PROJECTS:
        images = [
            image
            for call in cluster.fake.calls
            if call["query"]["projectIdOrName"] == f"my-{project}"
            for image in call["body"]["srcImages"]
        ]
        assert len(images) == len(set(images))
    eventually(lambda: len(set(cluster.owners().values())) == 2, what="two projects, shared among three processes")


def test_a_process_that_is_killed_is_replaced(cluster: Cluster) -> None:
    cluster.send(0, 1, 2, events=20)
    eventually(lambda: "shop" in cluster.owners())
    victim = number_of(cluster, cluster.owners()["shop"])
    cluster.processes[victim].kill()
    cluster.send(*({0, 1, 2} - {victim}), events=20)
    eventually(cluster.all_purged, 60)


def test_a_process_that_is_paused_loses_its_lane_and_sends_nothing_when_it_goes_on(cluster: Cluster) -> None:
    cluster.send(0, 1, 2, events=9)
    eventually(cluster.all_purged)
    before = cluster.owners()["shop"]
    victim = number_of(cluster, before)
    with stopped(cluster.processes[victim]):
        cluster.send(*({0, 1, 2} - {victim}), events=10)
        eventually(cluster.all_purged, 60)
        assert cluster.owners()["shop"] != before
    cluster.send(0, 1, 2, events=9)
    eventually(cluster.all_purged, 60)


def test_a_database_that_goes_away_and_comes_back(cluster: Cluster) -> None:
    cluster.send(0, 1, 2, events=9)
    with psycopg.connect(cluster.store, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'vercel-image-relay'"
        )
    cluster.send(0, 1, 2, events=30)
    assert len(cluster.accepted) >= 30, "the connections are opened anew at once"
    eventually(cluster.all_purged, 60)
