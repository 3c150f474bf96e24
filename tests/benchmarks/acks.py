"""Durable acks a second: the relay beside a bare Starlette endpoint that reads the same bodies, in one run.

    make bench [ARGS="--rounds 5 --requests 6000"]

Both run as a process of their own under the same uvicorn settings, and get the same requests, signed beforehand, over
the same number of connections. Rounds alternate, so that a noisy machine is noisy for both; the figure to look at is
the ratio of the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from support.process import relay, running, write_config
from support.webhooks import replaced, signed

CONNECTIONS = 64

BARE = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

async def hook(request: Request) -> JSONResponse:
    await request.body()
    return JSONResponse({"receipt": "rcp_0", "status": "accepted"})

app = Starlette(routes=[Route("/hooks/hook", hook, methods=["POST"])])
print("listening on http://127.0.0.1:" + sys.argv[1], flush=True)
options = {"log_level": "error", "access_log": False, "lifespan": "off", "ws": "none"}
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), **options)
"""


class _Connection(asyncio.Protocol):
    """One keep-alive connection that always has one request under way."""

    def __init__(self, requests: Iterator[bytes], done: asyncio.Future[None], latencies: list[float]) -> None:
        self._requests = requests
        self._done = done
        self._latencies = latencies
        self._sent_at = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self._done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"}"):
            assert self._received.startswith(b"HTTP/1.1 200"), self._received
            self._latencies.append(time.perf_counter() - self._sent_at)
            self._received = b""
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("the server closed the connection"))


async def _load(address: str, requests: Sequence[bytes]) -> tuple[float, list[float]]:
    """Requests a second, and each one's latency in seconds."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    rest = iter(requests)
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    begun = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: _Connection(rest, end, latencies), host, int(port))  # type: ignore[misc]  # a default argument binds the loop's variable
    await asyncio.gather(*ends)
    return len(requests) / (time.perf_counter() - begun), latencies


def _requests(count: int, round_number: int) -> list[bytes]:
    made = []
    for number in range(count):
        name = f"r{round_number}-{number}"
        body = replaced(name, f"https://img.example.com/{name}.jpg", alt="x" * 350)
        lines = "".join(f"{key}: {value}\r\n" for key, value in signed(f"msg_{name}", body).items())
        head = f"POST /hooks/hook HTTP/1.1\r\nhost: 127.0.0.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        made.append(head.encode() + body)
    return made


@contextmanager
def _bare(folder: Path) -> Iterator[str]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = folder / "bare.py"
    script.write_text(BARE)
    with subprocess.Popen([sys.executable, str(script), str(port)], stdout=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=5000)
    given = parser.parse_args()
    rates: dict[str, list[float]] = {"bare": [], "relay": []}
    latencies: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Settling for an hour keeps dispatching, which is measured elsewhere, out of this figure.
        with running("fake-vercel", "--port", "0", cwd=folder) as vercel, _bare(folder) as bare:
            path = write_config(folder, vercel.listening().address)
            path.write_text(path.read_text().replace("settle: 0", "settle: 3600"))
            begun = time.perf_counter()
            with relay(folder) as process:
                ready = time.perf_counter() - begun
                idle = psutil.Process(process.pid).memory_info().rss / 2**20
                for number in range(given.rounds):
                    requests = _requests(given.requests, number)
                    rates["bare"].append(asyncio.run(_load(bare, requests))[0])
                    rate, took = asyncio.run(_load(process.address, requests))
                    rates["relay"].append(rate)
                    latencies += took
    medians = {name: statistics.median(values) for name, values in rates.items()}
    cuts = statistics.quantiles(latencies, n=100)
    print(f"{'':24}{'median/s':>10}{'min/s':>10}{'max/s':>10}")
    for label, values in rates.items():
        print(f"{label:24}{statistics.median(values):10.0f}{min(values):10.0f}{max(values):10.0f}")
    print(f"durable acks against bare Starlette: {medians['relay'] / medians['bare']:.2f}")
    print(
        f"latency at full load: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms ({CONNECTIONS} connections)"
    )
    print(f"start to ready {ready:.2f} s, idle memory {idle:.0f} MiB")


if __name__ == "__main__":
    main()
