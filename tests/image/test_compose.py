"""deploy/compose is brought up by the page's own commands: the relay alone, then the same relay on PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from image.compose import PROJECT, Pulse, compose, engine, stand_in_for_postgres
from image.podman import BASE, ROOT, build, podman, podman_done
from support.buckets import free_port
from support.commands import VAULT_KEY
from support.process import TOKEN, calls, eventually

PAGE = (ROOT / "deploy" / "CONTAINER.md").read_text()
BLOCKS = re.findall(r"<!-- tested: compose -->\n```sh\ncd deploy/compose\n(.*?)```", PAGE, re.DOTALL)
ALONE, ON_POSTGRESQL, FROM_ONE_TO_THE_OTHER = BLOCKS
FILLED_IN = {
    "RELAY_VAULT_KEY": VAULT_KEY,
    "VERCEL_TOKEN": TOKEN,
    "CONTENTFUL_SECRET": "f" * 64,
    "POSTGRES_PASSWORD": "fake pass/word@",
}
# What differs here: another base, ports that are free, and a Vercel behind the relay's own loopback.
HERE = """\
services:
  relay:
    build:
      context: {root}
      args: {{BASE: {base}}}
    ports: !override ["127.0.0.1:{port}:8080", "127.0.0.1:{vercel}:8090"]
    environment: {{RELAY_VERCEL_API: "http://127.0.0.1:8090"}}
  vercel:
    image: vercel-image-relay:sqlite
    command: [fake-vercel, --host=0.0.0.0, --token={token}, --project=my-shop]
    healthcheck: {{disable: true}}
    network_mode: service:relay
"""


def lines(block: str) -> list[list[str]]:
    """A block's commands, as words after `docker compose`."""
    found = [shlex.split(line) for line in block.splitlines()]
    assert all(words[:2] == ["docker", "compose"] for words in found)
    return [words[2:] for words in found]


@dataclass(frozen=True)
class Operator:
    """Somebody in a copy of deploy/compose, who did what the page says."""

    folder: Path
    port: int = field(default_factory=free_port)
    vercel: int = field(default_factory=free_port)
    environ: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        example = (self.folder / "example.env").read_text()
        filled = re.sub(r"(?m)^([A-Z_]+)=$", lambda found: f"{found[1]}={FILLED_IN[found[1]]}", example)
        (self.folder / ".env").write_text(filled)
        here = HERE.format(root=ROOT, base=BASE, port=self.port, vercel=self.vercel, token=TOKEN)
        (self.folder / "here.yaml").write_text(here)

    def says(self, words: Sequence[str]) -> str:
        return compose(self.folder, self.environ, words)

    def looks_at(self, service: str) -> Any:
        (document,) = json.loads(podman("inspect", f"{PROJECT}-{service}-1"))
        return document

    def send(self) -> None:
        """A webhook as Contentful signs it, at the port that compose opens."""
        done = subprocess.run(
            [sys.executable, "-m", "service", "send", f"--url=http://127.0.0.1:{self.port}"],
            cwd=self.folder,
            env=os.environ | FILLED_IN | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def sees_purges(self, count: int) -> None:
        url = f"http://127.0.0.1:{self.vercel}"
        eventually(lambda: [call["status"] for call in calls(url)].count(200) >= count, 60, "the purge arrived")

    def receipts(self) -> set[str]:
        listed = podman("exec", f"{PROJECT}-relay-1", "image-relay", "receipts", "list", "--json")
        return {row["id"] for row in json.loads(listed)}

    def healthy(self, service: str = "relay") -> Callable[[], bool]:
        return lambda: bool(self.looks_at(service)["State"]["Health"]["Status"] == "healthy")


@pytest.fixture
def operator(tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    folder = tmp_path / "deploy" / "compose"
    folder.mkdir(parents=True)
    for name in ("compose.yaml", "compose.postgres.yaml", "relay.yaml", "example.env"):
        (folder / name).write_bytes((ROOT / "deploy" / "compose" / name).read_bytes())
    tmp_path.chmod(0o755)
    with engine(tmp_path) as environ:
        monkeypatch.setenv("CONTAINERS_CONF", environ["CONTAINERS_CONF"])
        somebody = Operator(folder, environ=dict(environ))
        somebody.prepare()
        pulse = Pulse()
        pulse.start()
        try:
            yield somebody
        finally:
            pulse.end()
            for service in ("relay", "vercel", "database"):
                print(podman_done("logs", f"{PROJECT}-{service}-1"))  # noqa: T201 - pytest shows it where the test fails
            both = ["--file", "compose.yaml", "--file", "compose.postgres.yaml"]
            somebody.says([*both, "down", "--volumes", "--remove-orphans", "--timeout=0"])


def test_the_relay_alone(operator: Operator) -> None:
    up, doctor = lines(ALONE)
    operator.says(up)
    eventually(operator.healthy(), 60, "the image's own health check passes")
    assert "ready" in operator.says(doctor)
    operator.send()
    operator.sees_purges(1)
    known = operator.receipts()
    assert len(known) == 1

    # What the file asks for is what the engine gives.
    document = operator.looks_at("relay")
    given = document["HostConfig"]
    assert given["ReadonlyRootfs"]
    assert given["SecurityOpt"] == ["no-new-privileges"]
    assert (given["Memory"], given["PidsLimit"]) == (256 * 1024 * 1024, 128)
    assert {bound["HostIp"] for ports in given["PortBindings"].values() for bound in ports} == {"127.0.0.1"}
    assert document["Config"]["StopTimeout"] == 15
    # A user who is not root has none in effect anyway; dropped are those that could be had.
    assert re.search(r"(?m)^CapBnd:\t0+$", podman("exec", f"{PROJECT}-relay-1", "cat", "/proc/1/status"))

    # Killed, it is started again; stopped, it stays down, and what it was told is on the volume.
    os.kill(document["State"]["Pid"], signal.SIGKILL)
    eventually(lambda: operator.looks_at("relay")["RestartCount"] == 1, 60, "it is started again")
    eventually(operator.healthy(), 60, "it is healthy again")
    assert operator.receipts() == known
    operator.says(["stop", "relay"])
    state = operator.looks_at("relay")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)


def test_the_same_relay_on_postgresql(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> None:
    database = yaml.safe_load((operator.folder / "compose.postgres.yaml").read_text())["services"]["database"]
    stand_in_for_postgres(f"docker.io/library/{database['image']}", tmp_path_factory.mktemp("postgres"))
    # Its own build finds these layers: whom this machine trusts, compose cannot be told.
    build("localhost/image-relay-postgres", "--build-arg=EXTRAS=postgres")
    operator.says(lines(ALONE)[0])
    eventually(operator.healthy(), 60, "the relay is healthy")
    operator.send()
    operator.sees_purges(1)
    known = operator.receipts()

    stop, start_the_database, copy = lines(FROM_ONE_TO_THE_OTHER)
    operator.says(stop)
    operator.says(start_the_database)
    # It waits for the database: what has just been started is still making its files.
    # Its exit code is lost between compose and podman; that it copied is seen below.
    operator.says(copy)
    # Whoever is in the relay's network stands in the way of a new relay.
    podman("rm", "--force", "--time=0", f"{PROJECT}-vercel-1")
    up, logs = lines(ON_POSTGRESQL)
    operator.says(up)
    eventually(operator.healthy(), 60, "the relay is healthy on PostgreSQL")
    assert "listening on" in operator.says(logs)
    assert operator.receipts() == known
    operator.send()
    operator.sees_purges(1)
    assert len(operator.receipts()) == 2

    # The database has no port of this machine, and no way out.
    assert operator.healthy("database")()
    document = operator.looks_at("database")
    assert not any(document["HostConfig"]["PortBindings"].values())
    assert list(document["NetworkSettings"]["Networks"]) == [f"{PROJECT}_store"]
    routes = podman("exec", f"{PROJECT}-database-1", "cat", "/proc/net/route").splitlines()[1:]
    assert routes
    assert "00000000" not in [route.split()[1] for route in routes]
