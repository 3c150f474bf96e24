"""Load: requests signed beforehand, wrk that sends them, and a small client that knows which were acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import tools
from support.process import SECRET_BASE64
from support.webhooks import replaced, signed

CONNECTIONS = 64
_SCRIPT = Path(__file__).with_name("replay.lua")


@dataclass(frozen=True, slots=True)
class Measured:
    """What wrk says of one run; latencies in milliseconds."""

    count: int
    seconds: float
    p50: float
    p99: float
    failed: int
    again: int  # requests sent a second time, because the file had too few

    @property
    def rate(self) -> float:
        return self.count / self.seconds


def url_of(name: str) -> str:
    return f"https://img.example.com/{name}.jpg"


def request(name: str, asset: str = "") -> bytes:
    """One webhook of about 900 bytes, signed now: as Standard Webhooks, and in the header that `webhook` verifies.

    Its id is made as ULIDs are, milliseconds and a random end.
    """
    body = replaced(asset or name, url_of(asset or name), alt="x" * 350)
    headers = signed(f"msg_{time.time_ns() // 1_000_000:012x}{random.getrandbits(64):016x}", body)
    headers["x-hub-signature-256"] = "sha256=" + hmac.new(SECRET_BASE64.encode(), body, hashlib.sha256).hexdigest()
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"POST /hooks/hook HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def write_requests(path: Path, count: int, prefix: str) -> Path:
    """As replay.lua reads them."""
    with path.open("wb") as file:
        for number in range(count):
            made = request(f"{prefix}-{number}")
            file.write(b"%d\n%b" % (len(made), made))
    return path


def wrk(
    program: str, address: str, requests: Path, seconds: float, *, pause: float = 0, connections: int = CONNECTIONS
) -> Measured:
    """One thread of wrk; with `pause` (mean milliseconds) every connection waits between its requests."""
    command = [program, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(_SCRIPT), address]
    said = subprocess.run(
        [*command, "--", str(requests), f"{pause:.3f}"],
        check=True,
        capture_output=True,
        text=True,
        env=tools.environment(),
    ).stdout
    return parsed(said)


def parsed(said: str) -> Measured:
    """The line that replay.lua ends with."""
    line = next(line for line in said.splitlines() if line.startswith("result "))
    count, duration, p50, p99, failed, again = (int(word) for word in line.split()[1:])
    return Measured(count, duration / 1e6, p50 / 1000, p99 / 1000, failed, again)


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request under way, until there are none left or it is cut."""

    def __init__(self, rest: Iterator[tuple[str, bytes]], acked: set[str], end: asyncio.Future[None]) -> None:
        self._rest = rest
        self._acked = acked
        self._end = end
        self._name = ""
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._name, data = next(self._rest, ("", b""))
        if data:
            self._transport.write(data)
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, gap, body = self._received.partition(b"\r\n\r\n")
        if not gap or len(body) < _length(head):
            return
        if head.startswith(b"HTTP/1.1 200"):
            self._acked.add(self._name)
        self._received = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._end.done():
            self._end.set_result(None)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise AssertionError(f"an answer without a length: {head!r}")


async def send(address: str, requests: Sequence[tuple[str, bytes]], connections: int) -> set[str]:
    """Sends each named request once, as fast as answered; the names of those answered with 200."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    loop = asyncio.get_running_loop()
    rest, acked = iter(requests), set[str]()
    ends = [loop.create_future() for _ in range(connections)]
    for end in ends:
        try:
            await loop.create_connection(lambda end=end: _Connection(rest, acked, end), host, int(port))  # type: ignore[misc]  # a default argument binds the loop's variable
        except ConnectionError:  # it was killed before all had come
            end.set_result(None)
    await asyncio.gather(*ends)
    return acked
