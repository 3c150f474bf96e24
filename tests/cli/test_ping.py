"""`ping`: ready or not, over TCP and over a Unix socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.commands import Relay

READY = b'{"status": "ok", "reasons": [], "warnings": []}'
NOT_READY = b'{"status": "unavailable", "reasons": ["the store cannot be read", "no dispatcher"], "warnings": []}'


class Far:
    """A server of the bare socket: gives one prepared answer after another, and keeps what it was asked."""

    def __init__(self, listener: socket.socket, answers: list[bytes]) -> None:
        self.asked: list[bytes] = []
        self._listener = listener
        self._answers = answers
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for answer in self._answers:
            connection, _ = self._listener.accept()
            with connection:
                self.asked.append(connection.recv(65536))
                connection.sendall(answer)

    def join(self) -> None:
        self._thread.join(10)


def http(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


@contextmanager
def answering(*answers: bytes, uds: Path | None = None) -> Iterator[tuple[str, Far]]:
    if uds is None:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(uds))
        listener.listen()
        address = f"unix:{uds}"
    with listener:
        far = Far(listener, list(answers))
        yield address, far
        far.join()


def test_ready(bare: Relay) -> None:
    with answering(http("200 OK", READY)) as (address, far):
        done = bare.run("ping", "--url", address)
    assert (done.code, done.out, done.err) == (0, "ready\n", "")
    assert far.asked[0].startswith(b"GET /readyz HTTP/1.1\r\n")


def test_alive(bare: Relay) -> None:
    with answering(http("200 OK", b'{"status": "ok"}')) as (address, far):
        done = bare.run("ping", "--live", "--url", address)
    assert (done.code, done.out, done.err) == (0, "alive\n", "")
    assert far.asked[0].startswith(b"GET /livez HTTP/1.1\r\n")


def test_below_a_path(bare: Relay) -> None:
    with answering(http("200 OK", READY)) as (address, far):
        assert bare.run("ping", "--url", f"{address}/relay/").code == 0
    assert far.asked[0].startswith(b"GET /relay/readyz HTTP/1.1\r\n")


def test_over_a_unix_socket(relay: Relay) -> None:
    path = relay.folder / "relay.sock"
    with answering(http("200 OK", READY), http("200 OK", READY), uds=path) as (address, _):
        assert relay.run("ping", "--url", address).code == 0
        assert relay.run("ping", environ={"RELAY_UDS": str(path)}).code == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - every address is reached by this machine's own
def test_the_settings_say_where(relay: Relay, host: str) -> None:
    with answering(http("200 OK", READY)) as (address, _):
        port = address.rpartition(":")[2]
        assert relay.run("ping", environ={"RELAY_HOST": host, "RELAY_PORT": port}).code == 0


def test_the_settings_may_be_wrong_about_providers_and_rules(bare: Relay) -> None:
    bare.write("projects: {shop: {project: x}}\nsources: {cms: {provider: nobody, rules: [{when: nope}]}}\n")
    with answering(http("200 OK", READY)) as (address, _):
        assert bare.run("ping", environ={"RELAY_PORT": address.rpartition(":")[2]}).code == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (http("503 Service Unavailable", NOT_READY), "is not ready: the store cannot be read; no dispatcher"),
        (http("404 Not Found", b"<html>"), "is not ready: it answered 404"),
        (http("500 Oops", b"[]"), "is not ready: it answered 500"),
        (http("503 Oops", b'{"reasons": []}'), "is not ready: it answered 503"),
        (b"SSH-2.0-OpenSSH_9.7\r\n", "no answer from http://127.0.0.1:"),
        (b"", "no answer from http://127.0.0.1:"),
    ],
)
def test_not_ready(bare: Relay, answer: bytes, message: str) -> None:
    with answering(answer) as (address, _):
        assert message in bare.fails("ping", "--url", address)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9", "no answer from http://127.0.0.1:9: "),
        ("https://127.0.0.1:9", "no answer from https://127.0.0.1:9: "),
        ("http://[::1]:9", "no answer from http://[::1]:9: "),
        ("unix:/no/such.sock", "no answer from unix:/no/such.sock: "),
        ("localhost", "localhost is no address"),
        ("http://127.0.0.1:port", "no answer from http://127.0.0.1:port: "),
    ],
)
def test_no_answer(bare: Relay, url: str, message: str) -> None:
    assert message in bare.fails("ping", "--url", url)


def test_wait_goes_on_asking(bare: Relay) -> None:
    not_ready = http("503 Oops", NOT_READY)
    with answering(not_ready, not_ready, http("200 OK", READY)) as (address, far):
        assert bare.run("ping", "--url", address, "--wait", "30").code == 0
    assert len(far.asked) == 3


def test_wait_ends(bare: Relay) -> None:
    begun = time.monotonic()
    assert "no answer" in bare.fails("ping", "--url", "http://127.0.0.1:9", "--wait", "0.3")
    assert 0.3 <= time.monotonic() - begun < 20
