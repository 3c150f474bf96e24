"""The service as it is deployed: two at once, a Unix socket, no file at all, bad configuration."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.loopback import serve
from support.prepared import FRESH
from support.process import SECRET_BASE64, TOKEN, Process, eventually, relay, running, write_config
from support.webhooks import replaced, signed

from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


def post(http: httpx.Client, name: str) -> httpx.Response:
    body = replaced(name, f"https://img.example.com/{name}.jpg")
    return http.post("/hooks/hook", content=body, headers=signed(f"msg_{name}", body))


def images(fake: FakeVercel) -> list[str]:
    return [image for call in fake.calls if call["status"] == 200 for image in call["body"]["srcImages"]]


def unfinished(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "relay.db")) as database:
        rows = database.execute("SELECT COUNT(*) FROM purges WHERE state IN ('pending', 'claimed')")
        return int(rows.fetchone()[0])


def test_two_processes_start_at_once_and_purge_once(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    write_config(tmp_path, url)
    start = partial(running, "serve", "--port", "0", cwd=tmp_path, program=FRESH)
    with start() as one, start() as two:
        for process in (one.listening(), two.listening()):
            with httpx.Client(base_url=process.address) as http:
                assert http.get("/readyz").status_code == 200
                assert post(http, f"from-{process.pid}").status_code == 200
        wanted = {f"https://img.example.com/from-{process.pid}.jpg" for process in (one, two)}
        eventually(lambda: wanted <= set(images(fake)))
        # The other one takes over when the one that dispatches is gone. Killed before it has stored what became of a
        # call, it would be made once more.
        eventually(lambda: unfinished(tmp_path) == 0)
        one.kill()
        with httpx.Client(base_url=two.address) as http:
            assert post(http, "after").status_code == 200
        eventually(lambda: "https://img.example.com/after.jpg" in images(fake))
    assert len(images(fake)) == len(set(images(fake)))


def test_a_unix_socket(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    write_config(tmp_path, url)
    path = tmp_path / "relay.sock"
    with running("serve", "--uds", str(path), cwd=tmp_path) as process:
        assert process.listening().address == f"unix:{path}"
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(base_url="http://relay", transport=transport) as http:
            assert post(http, "socket").status_code == 200
        eventually(lambda: images(fake) == ["https://img.example.com/socket.jpg"])
        with running("ping", "--wait", "5", cwd=tmp_path, environ={"RELAY_UDS": str(path)}) as ping:
            assert ping.wait() == 0
        assert process.stop() == 0
    assert not path.exists()


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    _, url = vercel
    write_config(tmp_path, url)
    path = tmp_path / "relay.sock"
    with running("serve", "--uds", str(path), cwd=tmp_path) as process:
        process.listening()
        process.kill()
    assert path.exists()
    with running("serve", "--uds", str(path), cwd=tmp_path) as process:
        process.listening()
        with running("serve", "--uds", str(path), cwd=tmp_path) as second:
            assert second.wait() == 1
            assert f"cannot listen on {path}: Address already in use" in second.output
        assert path.exists()


def test_an_unverified_source_is_warned_of_wherever_an_operator_looks(
    tmp_path: Path, vercel: tuple[FakeVercel, str]
) -> None:
    fake, url = vercel
    write_config(tmp_path, url, sources="site: {provider: plain, unverified: true, settle: 0}\n")
    with relay(tmp_path) as process, httpx.Client(base_url=process.address) as http:
        warning = "whoever knows the URL can have images purged: only behind something that verifies"
        assert f"sources.site.unverified: {warning}" in process.output
        report = http.get("/readyz")
        assert (report.status_code, report.json()["warnings"]) == (200, [f"source site is unverified: {warning}"])
        assert http.post("/hooks/site", content=replaced("1", "https://img.example.com/1.jpg")).status_code == 200
        eventually(lambda: images(fake) == ["https://img.example.com/1.jpg"])


def test_a_second_signal_does_not_wait_for_the_call(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    fake.script(Answer(status="hang", seconds=60, times=1))
    write_config(tmp_path, url)
    with relay(tmp_path) as process:
        with httpx.Client(base_url=process.address) as http:
            assert post(http, "hurry").status_code == 200
        eventually(lambda: len(fake.calls) == 1)
        process.signal(signal.SIGTERM)
        begun = time.monotonic()
        process.signal(signal.SIGINT)
        assert process.wait() == 0
        assert time.monotonic() - begun < 5


def test_the_environment_alone(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    environ = {
        "RELAY_PROVIDER": "standard-webhooks",
        "RELAY_SECRET": f"whsec_{SECRET_BASE64}",
        "RELAY_VERCEL_PROJECT": "my-shop",
        "RELAY_VERCEL_TEAM": "team_1a2b3c",
        "RELAY_VERCEL_TOKEN": TOKEN,
        "RELAY_VERCEL_API": url,
        "RELAY_PORT": "0",
    }
    fake.script(Answer(status=500, message=f"you would not believe it: whsec_{SECRET_BASE64}"))
    with running("serve", cwd=tmp_path, environ=environ, program=FRESH) as process:
        body = replaced("env", "https://img.example.com/env.jpg", event="asset.deleted")
        address = f"{process.listening().address}/hooks/standard-webhooks"
        assert httpx.post(address, content=body, headers=signed("msg_env", body)).status_code == 200
        eventually(lambda: images(fake) == ["https://img.example.com/env.jpg"])
        assert fake.calls[0]["query"] == {"projectIdOrName": "my-shop", "teamId": "team_1a2b3c"}
        assert "you would not believe it: ***" in process.output
        assert TOKEN not in process.output
        assert SECRET_BASE64 not in process.output
    for file in tmp_path.iterdir():
        assert TOKEN.encode() not in file.read_bytes()


def test_bad_configuration_ends_it_with_every_problem(tmp_path: Path) -> None:
    (tmp_path / "relay.yaml").write_text("projects: {shop: {}}\nsources:\n  cms:\n    provider: nobody\n    oops: 1\n")
    with running("serve", cwd=tmp_path, program=FRESH) as process:
        assert process.wait() == 1
        for problem in (":1: projects.shop.project: is missing", ":4: sources.cms.provider", ":5: sources.cms.oops"):
            assert problem in process.output
    assert "Traceback" not in process.output


def test_a_newer_database_is_refused(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    _, url = vercel
    write_config(tmp_path, url)
    with relay(tmp_path):
        pass
    with sqlite3.connect(tmp_path / "relay.db") as database:
        database.execute("INSERT INTO schema_migrations VALUES (9999, '9999_future.sql', 'x', '2030-01-01T00:00:00Z')")
    database.close()
    with running("serve", "--port", "0", cwd=tmp_path) as process:
        assert process.wait() == 1
        assert "newer release" in process.output
        assert "Traceback" not in process.output


def test_a_port_that_is_taken(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    _, url = vercel
    write_config(tmp_path, url)
    with relay(tmp_path) as first:
        port = first.address.rpartition(":")[2]
        with running("serve", "--port", port, cwd=tmp_path) as second:
            assert second.wait() == 1
            assert f"cannot listen on 127.0.0.1:{port}" in second.output
            assert "Traceback" not in second.output


def taken_in(http: httpx.Client) -> float:
    """How many webhooks were accepted, as Prometheus is told."""
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    samples = [sample for family in families for sample in family.samples if sample.name == "relay_webhooks_total"]
    return sum(sample.value for sample in samples if sample.labels["verdict"] == "accepted")


def workers_of(process: Process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children()


def test_several_workers_share_a_socket_and_one_that_dies_is_replaced(
    tmp_path: Path, vercel: tuple[FakeVercel, str]
) -> None:
    fake, url = vercel
    write_config(tmp_path, url)
    with relay(tmp_path, "--workers", "3", program=FRESH) as process:
        assert [line for line in process.lines if "listening on" in line] == [f"listening on {process.address}"]
        with httpx.Client(base_url=process.address, timeout=30) as http:
            eventually(lambda: http.get("/readyz").status_code == 200)
            first = {worker.pid for worker in workers_of(process)}
            assert len(first) == 3
            for number in range(12):
                assert post(http, f"a{number}").status_code == 200
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: len({worker.pid for worker in workers_of(process)} - first) == 3)
        with httpx.Client(base_url=process.address, timeout=30) as http:
            for number in range(12):
                assert post(http, f"b{number}").status_code == 200
            # Whichever worker is asked, it knows of the others, also of those that were killed a second ago.
            eventually(lambda: taken_in(http) >= 12)
        wanted = {f"https://img.example.com/{name}{number}.jpg" for name in "ab" for number in range(12)}
        eventually(lambda: wanted <= set(images(fake)))
        children = workers_of(process)
        assert process.stop() == 0
        assert not any(child.is_running() for child in children)
    assert '"event":"worker.replaced"' in process.output.replace(" ", "")


def test_workers_that_cannot_start_end_it_with_the_reason(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    write_config(tmp_path, vercel[1])
    with running("serve", "--port", "0", "--workers", "2", "--store", "sqlite:////proc/x/relay.db", cwd=tmp_path) as it:
        assert it.wait() == 1
    assert "Error: cannot open the store /proc/x/relay.db" in it.output


def test_ingest_and_dispatch_apart(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    write_config(tmp_path, url)
    with relay(tmp_path, "--role", "ingest") as ingest:
        with httpx.Client(base_url=ingest.address) as http:
            assert http.get("/readyz").status_code == 200
            assert post(http, "one").status_code == 200
        assert unfinished(tmp_path) == 1
        with relay(tmp_path, "--role", "dispatch") as dispatch, httpx.Client(base_url=dispatch.address) as http:
            assert http.get("/readyz").status_code == 200
            answer = post(http, "two")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
            assert "retry-after" in answer.headers
            eventually(lambda: images(fake) == ["https://img.example.com/one.jpg"])
            assert dispatch.stop() == 0
