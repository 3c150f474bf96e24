"""What strangers send costs no memory, gives no information and never a 500: the real process, raw sockets."""

from __future__ import annotations

import contextlib
import gzip
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from support.loopback import serve
from support.prepared import FRESH
from support.process import Process, eventually, relay, write_config
from support.webhooks import replaced, signed

from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("hostile")
    with serve(create_fake_vercel(FakeVercel())) as url:
        write_config(folder, url, more="limits: {body_seconds: 1.5}\n")
        with relay(folder, program=FRESH) as process:
            yield process


@contextmanager
def connected(process: Process) -> Iterator[socket.socket]:
    host, _, port = process.address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        yield connection


def answer_to(connection: socket.socket) -> bytes:
    """Whatever comes until the far side closes or falls silent."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
            if b"\r\n\r\n" in received and b"}" in received:
                break
    except ConnectionResetError:
        pass
    return received


def headers(signed_body: bytes | None) -> str:
    given = {} if signed_body is None else signed("msg_large", signed_body)
    return "".join(f"{name}: {value}\r\n" for name, value in given.items())


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("chunked", [True, False])
def test_fifty_megabytes(started: Process, correct: bool, chunked: bool) -> None:
    body = b'{"type": "asset.replaced", "data": "' + b"x" * (50 * MEBIBYTE) + b'"}'
    memory = psutil.Process(started.pid)
    before = memory.memory_info().rss
    framing = "transfer-encoding: chunked" if chunked else f"content-length: {len(body)}"
    head = f"POST /hooks/hook HTTP/1.1\r\nhost: x\r\n{headers(body if correct else None)}{framing}\r\n\r\n"
    peak = before
    with connected(started) as connection:
        connection.sendall(head.encode())
        try:
            for start in range(0, len(body), 65536):
                piece = body[start : start + 65536]
                connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" if chunked else piece)
                if start % (4 * MEBIBYTE) == 0:
                    peak = max(peak, memory.memory_info().rss)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the relay has stopped listening, as it should
        received = answer_to(connection)
    peak = max(peak, memory.memory_info().rss)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert peak - before < 20 * MEBIBYTE


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"POST /hooks/", b"x" * 65536),
        (b"POST /hooks/hook HTTP/1.1\r\nx: ", b"x" * 65536),
        (b"POST /hooks/hook HTTP/1.1\r\n", b"x: " + b"x" * 65531 + b"\r\n"),
        (b"POST /hooks/hook HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"x: x\r\n" * 10_000),
        (b"GET /livez HTTP/1.1\r\n\r\nGET /", b"x" * 65536),
    ],
    ids=["path", "header", "headers", "trailers", "second request"],
)
def test_fifty_megabytes_that_are_no_body(started: Process, start: bytes, piece: bytes) -> None:
    memory = psutil.Process(started.pid)
    before = peak = memory.memory_info().rss
    with connected(started) as connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(start)
        for _ in range(50 * MEBIBYTE // len(piece)):
            connection.sendall(piece)
            peak = max(peak, memory.memory_info().rss)
        pytest.fail("all of it was taken")
    assert peak - before < 20 * MEBIBYTE


@pytest.mark.parametrize(
    "start", [b"", b"POST /hooks/hook HTTP/1.1\r\nhost: x\r\n", b"GET /livez HTTP/1.1\r\n\r\nGET /"]
)
def test_slow_headers_are_not_waited_for(started: Process, start: bytes) -> None:
    with connected(started) as connection:
        connection.sendall(start)
        begun = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.settimeout(0.1)
            while time.monotonic() - begun < 10:
                try:
                    if not connection.recv(65536):
                        break
                except TimeoutError:
                    if start:
                        connection.sendall(b"x")
        assert time.monotonic() - begun < 5


def test_headers_that_are_too_large_are_told_so(started: Process) -> None:
    with connected(started) as connection:
        connection.sendall(b"POST /hooks/hook HTTP/1.1\r\nx: " + b"x" * 65536)
        received = answer_to(connection)
    assert received.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in received


def test_a_large_body_is_told_so(started: Process) -> None:
    """Declared too large and held back: the answer comes before the body."""
    with connected(started) as connection:
        connection.sendall(f"POST /hooks/hook HTTP/1.1\r\nhost: x\r\ncontent-length: {50 * MEBIBYTE}\r\n\r\n".encode())
        received = answer_to(connection)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too_large"' in received.replace(b" ", b"")


def test_a_slow_body_is_not_waited_for(started: Process) -> None:
    with connected(started) as connection:
        connection.sendall(b"POST /hooks/hook HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        begun = time.monotonic()
        received = b""
        try:
            while time.monotonic() - begun < 10 and not received:
                connection.sendall(b"x")
                connection.settimeout(0.1)
                try:
                    received = connection.recv(65536)
                except TimeoutError:
                    continue
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - begun < 5
    assert received.startswith(b"HTTP/1.1 408 ")


def test_a_compressed_body_is_never_unpacked(started: Process) -> None:
    bomb = gzip.compress(b"0" * (200 * MEBIBYTE), compresslevel=9)
    memory = psutil.Process(started.pid)
    before = memory.memory_info().rss
    for given, status in ((signed("msg_bomb", bomb), 400), ({}, 401)):
        answer = httpx.post(
            f"{started.address}/hooks/hook", content=bomb, headers={**given, "content-encoding": "gzip"}, timeout=20
        )
        assert answer.status_code == status
    assert memory.memory_info().rss - before < 20 * MEBIBYTE


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /hooks/hook HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (b"POST /hooks/nobody HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 404),
        (b"POST /hooks/hook%00 HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 404),
        (b"POST /hooks/hook HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 401),
        (b"POST /hooks/hook/%ff%00 HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 401),
        (b"POST /hooks/hook HTTP/1.1\r\nhost: x\r\nwebhook-id: a\r\nwebhook-id: b\r\ncontent-length: 0\r\n\r\n", 401),
        (b"POST /hooks/hook HTTP/1.1\r\nhost: x\r\nwebhook-signature: \xff\xfe\r\ncontent-length: 0\r\n\r\n", 401),
        (b"POST /hooks/../livez HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 404),
    ],
)
def test_odd_requests(started: Process, raw: bytes, status: int) -> None:
    with connected(started) as connection:
        connection.sendall(raw)
        received = answer_to(connection)
    assert received.startswith(f"HTTP/1.1 {status} ".encode()), received[:200]


def test_more_connections_than_are_served_are_told_so(tmp_path: Path) -> None:
    """Two thousand that say nothing: the next is refused, and when they are gone all is well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < 5000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (5000, hard))  # inherited by the relay
    write_config(tmp_path, "http://127.0.0.1:9")
    with relay(tmp_path, program=FRESH) as process:
        with contextlib.ExitStack() as crowd:
            for _ in range(2000):
                crowd.enter_context(connected(process))
            eventually(lambda: httpx.get(f"{process.address}/livez").status_code == 503)
        eventually(lambda: httpx.get(f"{process.address}/livez").status_code == 200)


def test_it_still_works_after_all_that(started: Process) -> None:
    body = replaced("fine", "https://img.example.com/fine.jpg")
    answer = httpx.post(f"{started.address}/hooks/hook", content=body, headers=signed("msg_fine", body))
    assert answer.json()["status"] == "accepted"
    eventually(lambda: '"purge.sent"' in started.output)
    assert "Traceback" not in started.output
