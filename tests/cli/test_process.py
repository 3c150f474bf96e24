"""The real process: what it imports, its exit codes, secrets through a pipe, and its end."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.commands import TOKEN, Relay
from support.process import Process, running

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
HEAVY = {"httpx", "starlette", "uvicorn", "jinja2", "cryptography", "rich"}


def imported(folder: Path, *arguments: str) -> set[str]:
    """Which of the heavy packages a command imports."""
    code = (
        "import sys\nfrom service.cli import cli\n"
        f"try:\n    cli({list(arguments)!r}, prog_name='image-relay')\nexcept SystemExit:\n    pass\n"
        "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environ(), capture_output=True, text=True, timeout=60, check=True
    )
    return HEAVY & set(done.stdout.splitlines()[-1].split())


def environ() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return known | {"PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["nope"],
        ["ping"],
        ["ping", "--url", "http://127.0.0.1:9"],
        ["init"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(relay: Relay, arguments: list[str]) -> None:
    assert imported(relay.folder, *arguments) == set()


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["explain", "payload.json"], {"httpx", "starlette", "uvicorn", "rich"}),
        (["check"], {"httpx", "starlette", "uvicorn", "rich"}),
        (["purges", "list"], {"httpx", "starlette", "uvicorn", "rich", "jinja2", "cryptography"}),
    ],
    ids=["explain", "check", "purges"],
)
def test_others_import_what_they_use(relay: Relay, arguments: list[str], without: set[str]) -> None:
    (relay.folder / "payload.json").write_text("{}")
    assert imported(relay.folder, *arguments) & without == set()


def run(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=folder,
        env=environ(),
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_exit_codes(relay: Relay) -> None:
    for arguments, code, message in (
        (["--version"], 0, b""),
        (["check"], 0, b""),
        (["check", "--config", "missing.yaml"], 1, b"missing.yaml: there is no such file"),
        (["nope"], 2, b"Error: there is no command 'nope' (see `image-relay --help`)"),
        (["explain", "-", "--header", "webhook-id: x"], 3, b""),
        (["receipts", "list"], 1, b"Error: there is no store"),
    ):
        done = run(relay.folder, *arguments, stdin=b"{}")
        assert (done.returncode, b"Traceback" in done.stderr) == (code, False), done.stderr
        assert done.stderr.startswith(message)


def test_a_token_through_a_pipe(relay: Relay) -> None:
    done = run(relay.folder, "tokens", "set", "blog", stdin=b"vcp_blogblogblog\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"vcp_blogblogblog" not in done.stdout


def test_a_token_through_a_terminal_is_not_echoed(relay: Relay) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "tokens", "set", "blog"],
        cwd=relay.folder,
        env=environ(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    with process:
        shown = b""
        while b"Vercel token: " not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, b"vcp_blogblogblog\n")
        while chunk := _read(ours):
            shown += chunk
        assert process.wait(60) == 0
    os.close(ours)
    assert b"stored the token of project blog" in shown
    assert b"vcp_blogblogblog" not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # Linux says so when the other side has gone
        return b""


def test_a_reader_that_goes_away_gets_no_traceback(relay: Relay) -> None:
    """`image-relay schema | head -1`"""
    process = subprocess.Popen(
        [sys.executable, "-m", "service", "schema"],
        cwd=relay.folder,
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What is started hears of Ctrl-C, though this process may have been told to ignore it, as `make test &` is."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_one_line(relay: Relay) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "ping", "--url", address],
            cwd=relay.folder,
            env=environ(),
            stderr=subprocess.PIPE,
        )
        with process, silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert process.stderr.read().splitlines()[-1] == b"Error: interrupted"
            assert process.wait(60) == 130


def asked(process: Process) -> list[dict[str, object]]:
    calls: list[dict[str, object]] = httpx.get(f"{process.address}/_calls").json()["calls"]
    return calls


def purge(process: Process, token: str = TOKEN, project: str = "my-shop", image: str = "/a.png") -> httpx.Response:
    return httpx.post(
        f"{process.address}/v1/edge-cache/dangerously-delete-by-src-images?projectIdOrName={project}",
        headers={"authorization": f"Bearer {token}"},
        json={"srcImages": [image]},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fake_vercel(tmp_path: Path, number: int) -> None:
    (tmp_path / "answers.json").write_text(json.dumps([{"status": 402}]))
    options = ["--port", "0", "--token", TOKEN, "--project", "my-shop", "--project", "other"]
    with running("fake-vercel", *options, "--answers", "answers.json", cwd=tmp_path) as process:
        process.listening()
        assert process.address.startswith("http://127.0.0.1:")
        assert purge(process).status_code == 402
        assert purge(process).status_code == 200
        assert purge(process, token="wrong").status_code == 403
        assert purge(process, project="unknown").status_code == 404
        assert purge(process, project="other").status_code == 200
        assert [call["status"] for call in asked(process)] == [402, 200, 403, 404, 200]
        process.signal(number)
        assert process.wait() == 0
        assert "Traceback" not in process.output


def test_fake_vercel_takes_anything_unless_told(tmp_path: Path) -> None:
    answers = '[{"status": 503}]'
    options = ["--host", "::1", "--port", "0", "--answers", answers, "--latency", "0.05"]
    with running("fake-vercel", *options, cwd=tmp_path) as process:
        process.listening()
        assert process.address.startswith("http://[::1]:")
        assert purge(process, token="any", project="any").status_code == 503
        answer = purge(process, token="any", project="any")
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() >= 0.05


def test_fake_vercel_takes_images_as_long_as_it_is_told(tmp_path: Path) -> None:
    long = "/" + "a" * 1013
    with running("fake-vercel", "--port", "0", "--max-src-image-bytes", "1014", cwd=tmp_path) as process:
        process.listening()
        assert purge(process, image=long).status_code == 200
        assert purge(process, image=f"{long}a").status_code == 400


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--answers", "missing.json"], "--answers: 'missing.json' is no JSON list and cannot be read"),
        (["--answers", '[{"status": "x"}]'], "--answers: "),
        (["--answers", "bad.json"], "--answers: "),
        (["--host", "192.0.2.1", "--port", "0"], "cannot listen on 192.0.2.1:0: "),
        (["--host", "no such host"], "cannot listen on no such host:8090: "),
    ],
)
def test_fake_vercel_that_cannot_start(relay: Relay, arguments: list[str], message: str) -> None:
    (relay.folder / "bad.json").write_bytes(b"\xff")
    assert message in relay.fails("fake-vercel", *arguments)
