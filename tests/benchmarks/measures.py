"""The measurements: each gives rows of the table. Rounds alternate, so that a noisy machine is noisy for all."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import httpx
import psutil
from benchmarks import load, peers
from benchmarks.filled import fill_postgres, fill_sqlite
from benchmarks.load import Measured
from benchmarks.peers import Peer
from benchmarks.report import Row, number
from support.postgres import fresh_schema
from support.process import calls, write_config

_HOUR = 3600.0  # of settling keeps dispatching, which is measured by itself, out of a figure
_QUIET = 0.5  # seconds without work, after which there is none left
_IDLE = 0.02  # seconds of CPU within a tenth of one: a little is used by who only waits
_MORE = (2 * load.CONNECTIONS, 4 * load.CONNECTIONS)  # the more wait together, the less each of them costs
_FIRST = 8000  # requests of the first second, from which the number for a round is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured."""

    rounds: int = 3
    seconds: float = 2
    stored: tuple[int, ...] = (100_000, 1_000_000)
    workers: tuple[int, ...] = (2, 4)
    events: int = 10_000
    assets: int = 1000
    settle: float = 2.0
    idle: int = 100
    kills: int = 10
    starts: int = 5


@dataclass(slots=True, kw_only=True)
class Bench:
    """What the measurements share. `wrk` and `webhook` are None where they cannot be had."""

    scale: Scale
    folder: Path
    vercel: str
    wrk: str | None
    webhook: str | None
    bars: list[tuple[str, float, bool]] = field(default_factory=list)
    bare_rate: float = 0.0

    @contextmanager
    def relay(self, name: str, *more: str, settle: float = _HOUR, vercel: str = "") -> Iterator[Peer]:
        """`image-relay serve` in a folder of its own, ready; another one of the same name has the same store."""
        folder = self.place(name)
        path = write_config(folder, vercel or self.vercel)
        path.write_text(path.read_text().replace("settle: 0", f"settle: {settle:g}"))
        with peers.started(peers.relay(*more), folder) as peer:
            _ready(peer)
            yield peer

    @contextmanager
    def peer(self, name: str, command: list[str]) -> Iterator[Peer]:
        with peers.started(command, self.place(name)) as peer:
            yield peer

    def place(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def bar(self, name: str, rate: float, *, ours: bool = True) -> None:
        """A bar of the plot, where the bare endpoint's rate is known."""
        if self.bare_rate:
            self.bars.append((name, rate / self.bare_rate, ours))


def _ready(peer: Peer) -> None:
    while True:
        try:
            if httpx.get(f"{peer.address}/readyz", timeout=20).status_code == 200:
                return
        except httpx.TransportError:
            assert peer.process.poll() is None, "the relay ended by itself"
        time.sleep(0.005)


def _alternating(
    bench: Bench,
    targets: Mapping[str, Peer],
    pauses: Mapping[str, float] | None = None,
    connections: int = load.CONNECTIONS,
    turns: Iterable[int] | None = None,
) -> dict[str, list[Measured]]:
    """Rounds of wrk against each target in turn, with a first second that does not count. `turns` are their numbers,
    of which the odd ones take the targets the other way round.

    A round lasts until the target has nothing left to do: adnanh/webhook acknowledges what it has yet to begin, and
    would else be at it while the next one is measured.
    """
    assert bench.wrk is not None
    tag = f"{random.getrandbits(40):x}"  # no request of another measurement on the same store comes again
    file = load.write_requests(bench.folder / "requests", _FIRST, tag)
    first = {}
    for name, peer in targets.items():
        first[name] = load.wrk(bench.wrk, peer.address, file, 1, connections=connections)
        _work_left(peer)
    storing = [measured.rate for name, measured in first.items() if name.startswith("relay")]
    count = round(max(storing) * bench.scale.seconds * 2) + _FIRST
    found: dict[str, list[Measured]] = {name: [] for name in targets}
    for turn in range(bench.scale.rounds) if turns is None else turns:
        load.write_requests(file, count, f"{tag}-{turn}")
        for name in list(targets)[:: -1 if turn % 2 else 1]:
            pause = 0.0 if pauses is None else pauses[name]
            measured = load.wrk(
                bench.wrk,
                targets[name].address,
                file,
                bench.scale.seconds,
                pause=pause,
                connections=connections,
            )
            measured = replace(measured, seconds=measured.seconds + _work_left(targets[name]))
            # A peer that is behind may let a few of wrk's requests run out of time; ours may not.
            some = 0.0 if name.startswith("relay") else measured.rate * bench.scale.seconds / 100
            assert measured.failed <= some, f"{name}: {measured.failed} requests failed"
            assert not (measured.again and name.startswith("relay")), f"{name} was faster than foreseen"
            found[name].append(measured)
    return found


def _work_left(peer: Peer) -> float:
    """The seconds for which a process, or one that it started, goes on working."""
    process, begun = psutil.Process(peer.pid), time.monotonic()
    busy, used = begun, 0.0
    while time.monotonic() - busy < _QUIET:
        spent = sum(process.cpu_times()[:4])  # its own, and that of the children that have ended
        if spent - used > _IDLE:
            busy = time.monotonic()
        used = spent
        time.sleep(0.1)
    return busy - begun


def _rate(rounds: list[Measured]) -> float:
    return statistics.median(one.rate for one in rounds)


def acks(bench: Bench) -> list[Row]:
    """Durable acknowledgements a second against the peers', and latency at half of each one's peak."""
    more = _against_bare(bench)
    with ExitStack() as stack:
        targets = {"bare": stack.enter_context(bench.peer("bare", peers.bare()))}
        targets["relay"] = stack.enter_context(bench.relay("acks"))
        targets["naive"] = stack.enter_context(bench.peer("naive", peers.naive(bench.vercel)))
        if bench.webhook:
            command = peers.webhook(bench.webhook, bench.place("webhook"))
            targets["webhook"] = stack.enter_context(bench.peer("webhook", command))
        rates = {name: _rate(rounds) for name, rounds in _alternating(bench, targets).items()}
        del targets["naive"]
        pauses = {name: 2000 * load.CONNECTIONS / rates[name] for name in targets}
        half = _alternating(bench, targets, pauses)
    rates |= more.pop(load.CONNECTIONS)
    bench.bare_rate = rates["bare"]
    titles = {
        "bare": "bare Starlette, reads the body",
        "webhook": "adnanh/webhook, same HMAC, runs /bin/true",
        "naive": "Starlette + httpx, calls Vercel inline",
    }
    aims = {"bare": "≥ 0.60", "webhook": "≥ 1", "naive": ""}
    rows = [
        Row(
            f"durable acks/s, one process, SQLite, {load.CONNECTIONS} connections",
            number(rates["relay"]),
            titles[name],
            number(rates[name]),
            rates["relay"] / rates[name],
            aims[name],
        )
        for name in titles
        if name in rates
    ]
    rows[1:1] = [
        Row(
            f"the same from {connections} connections",
            number(found["relay"]),
            titles["bare"],
            number(found["bare"]),
            found["relay"] / found["bare"],
            aims["bare"],
        )
        for connections, found in more.items()
    ]
    for name in sorted(rates, key=lambda name: -rates[name]):
        bench.bar("relay, SQLite" if name == "relay" else titles[name], rates[name], ours=name == "relay")
    p50 = {name: statistics.median(one.p50 for one in rounds) for name, rounds in half.items()}
    p99 = {name: statistics.median(one.p99 for one in rounds) for name, rounds in half.items()}
    at = f"at half of peak ({number(_rate(half['relay']))}/s)"
    rows.append(
        Row(
            f"p99 over p50, ms, {at}",
            number(p99["relay"]),
            "its p50",
            number(p50["relay"]),
            p99["relay"] / p50["relay"],
            "≤ 5",
        )
    )
    rows += [
        Row(
            "p99, ms, each at half of its own peak",
            number(p99["relay"]),
            titles[name],
            number(p99[name]),
            p99["relay"] / p99[name],
        )
        for name in p99
        if name != "relay"
    ]
    return rows


def _against_bare(bench: Bench) -> dict[int, dict[str, float]]:
    """Rates of the bare endpoint and the relay by the number of connections, medians over several starts of both: two
    processes of one program differ by up to a tenth, for as long as they live."""
    found: dict[int, dict[str, list[Measured]]] = {}
    for start in range(bench.scale.starts):
        with bench.peer("bare", peers.bare()) as bare, bench.relay(f"acks-{start}") as relay:
            for connections in (load.CONNECTIONS, *_MORE):
                targets = {"bare": bare, "relay": relay}
                rounds = _alternating(bench, targets, connections=connections, turns=[start])
                for name, measured in rounds.items():
                    found.setdefault(connections, {}).setdefault(name, []).extend(measured)
    return {connections: {name: _rate(rounds) for name, rounds in each.items()} for connections, each in found.items()}


def stored_sqlite(bench: Bench) -> list[Row]:
    """Acknowledgements with many stored receipts, on SQLite."""

    def made(stack: ExitStack, count: int) -> Peer:
        name = f"sqlite-{count}"
        if count:
            with bench.relay(name) as peer:
                _send_one(peer)
            fill_sqlite(bench.place(name) / "relay.db", count)
        return stack.enter_context(bench.relay(name))

    return _stored(bench, "SQLite", made)


def stored_postgres(bench: Bench) -> list[Row]:
    """The same on PostgreSQL."""

    def made(stack: ExitStack, count: int) -> Peer:
        url, name = stack.enter_context(fresh_schema()), f"postgres-{count}"
        if count:
            with bench.relay(name, "--store", url) as peer:
                _send_one(peer)
            fill_postgres(url, count)
        return stack.enter_context(bench.relay(name, "--store", url))

    return _stored(bench, "PostgreSQL", made)


def _stored(bench: Bench, kind: str, made: Callable[[ExitStack, int], Peer]) -> list[Row]:
    with ExitStack() as stack:
        targets = {f"relay {count}": made(stack, count) for count in (0, *bench.scale.stored)}
        rates = {name: _rate(rounds) for name, rounds in _alternating(bench, targets).items()}
    if kind != "SQLite":
        bench.bar(f"relay, {kind}", rates["relay 0"])
    rows = []
    for count in bench.scale.stored:
        rate = rates[f"relay {count}"]
        bench.bar(f"relay, {kind}, {count:,} stored", rate)
        aim = "≥ 0.9" if count == max(bench.scale.stored) else ""
        what = f"acks/s with {count:,} receipts stored, {kind}"
        rows.append(Row(what, number(rate), "empty", number(rates["relay 0"]), rate / rates["relay 0"], aim))
    return rows


def _send_one(peer: Peer) -> None:
    name = f"first-{random.getrandbits(40):x}"
    assert asyncio.run(load.send(peer.address, [(name, load.request(name))], 1)) == {name}


def workers(bench: Bench) -> list[Row]:
    """Several processes on one PostgreSQL."""
    with ExitStack() as stack:
        targets = {}
        for count in (1, *bench.scale.workers):
            more = ["--store", stack.enter_context(fresh_schema()), "--workers", str(count)]
            targets[f"relay {count}"] = stack.enter_context(bench.relay(f"workers-{count}", *more))
        rates = {name: _rate(rounds) for name, rounds in _alternating(bench, targets).items()}
    rows = []
    for count in bench.scale.workers:
        rate = rates[f"relay {count}"]
        bench.bar(f"relay, PostgreSQL, {count} processes", rate)
        what = f"acks/s, {count} processes, PostgreSQL"
        rows.append(Row(what, number(rate), "1 process", number(rates["relay 1"]), rate / rates["relay 1"]))
    return rows


def burst(bench: Bench) -> list[Row]:
    """Many events over fewer assets: how often Vercel is called, and when the last purge is through."""
    scale, chance = bench.scale, random.Random(4)  # noqa: S311  # the same order in every run
    assets = [f"asset-{chance.randrange(scale.assets)}" for _ in range(scale.events)]
    with bench.relay("burst", settle=scale.settle) as peer:
        requests = [(str(index), load.request(f"burst-{index}", asset)) for index, asset in enumerate(assets)]
        httpx.delete(f"{bench.vercel}/_calls", timeout=30).raise_for_status()
        acked = asyncio.run(load.send(peer.address, requests, load.CONNECTIONS))
        ended = time.time()
        assert len(acked) == scale.events
        _until_finished(bench.place("burst") / "relay.db")
    made = calls(bench.vercel)
    assert _purged(made) == {load.url_of(asset) for asset in assets}
    last = max(datetime.fromisoformat(str(call["at"])).timestamp() for call in made) - ended
    what = f"burst of {scale.events:,} events over {len(set(assets)):,} assets"
    return [
        Row(f"{what}: calls", number(len(made)), "one call an event", number(scale.events), len(made) / scale.events),
        Row(
            f"{what}: last ack to last purge, s",
            number(last),
            "settle",
            number(scale.settle),
            last / scale.settle if scale.settle else None,
        ),
    ]


def _until_finished(database: Path) -> None:
    deadline = time.monotonic() + 600
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        while connection.execute("SELECT 1 FROM purges WHERE state IN ('pending', 'claimed') LIMIT 1").fetchone():
            assert time.monotonic() < deadline, "purges are left over"
            time.sleep(0.02)


def _purged(made: list[dict[str, object]]) -> set[str]:
    """The source images of the calls that were answered 200."""
    found = set[str]()
    for call in made:
        body = call["body"]
        if call["status"] == 200 and isinstance(body, dict):
            found.update(body["srcImages"])
    return found


class _Called:
    """Vercel's side of the wire and nothing else: notes when a call has come in."""

    def __init__(self) -> None:
        self.at: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.open: set[asyncio.Task[object]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                self.at.set_result(time.perf_counter())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()


def idle(bench: Bench) -> list[Row]:
    """From the webhook's first byte to Vercel's call, one at a time."""
    ours, theirs = asyncio.run(_idle(bench))
    return [
        Row(
            "webhook to Vercel's call, idle, p50 ms",
            number(ours),
            "Starlette + httpx, calls Vercel inline",
            number(theirs),
            ours / theirs,
            "≤ 15 ms",
        )
    ]


async def _idle(bench: Bench) -> tuple[float, float]:
    called = _Called()
    server = await asyncio.start_server(called.serve, "127.0.0.1", 0)
    vercel = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        with ExitStack() as stack:
            relay = await asyncio.to_thread(stack.enter_context, bench.relay("idle", settle=0, vercel=vercel))
            naive = stack.enter_context(bench.peer("idle-naive", peers.naive(vercel)))
            took: dict[str, list[float]] = {relay.address: [], naive.address: []}
            for number_ in range(bench.scale.idle + 5):
                for address, values in took.items():
                    called.at = asyncio.get_running_loop().create_future()
                    name = f"idle-{number_}"
                    request = load.request(name)
                    begun = time.perf_counter()
                    acked = await load.send(address, [(name, request)], 1)
                    assert acked == {name}
                    values.append((await asyncio.wait_for(called.at, 30) - begun) * 1000)
                    await asyncio.sleep(0.02)  # idle is what is measured: the answer has been stored by then
        await asyncio.gather(*called.open)
    # The first ones open connections and compile templates.
    return statistics.median(took[relay.address][5:]), statistics.median(took[naive.address][5:])


def killed(bench: Bench) -> list[Row]:
    """What was acknowledged and never came of anything, under SIGKILLs in the midst of load."""
    times, rows = bench.scale.kills, []
    httpx.delete(f"{bench.vercel}/_calls", timeout=30).raise_for_status()
    acked = _under_kills(times, lambda: bench.relay("killed", settle=0))
    with bench.relay("killed", settle=0):
        _until_finished(bench.place("killed") / "relay.db")
    ours = len(acked - _purged(calls(bench.vercel)))
    what = f"acked but lost under {times} SIGKILLs (of {len(acked):,})"
    if bench.webhook:
        folder = bench.place("killed-webhook")
        note = folder / "done"
        note.touch()
        command = peers.webhook(bench.webhook, folder, note)
        acked = _under_kills(times, lambda: bench.peer("killed-webhook", command))
        _until_gone(str(folder / "note.sh"))
        lost = len(acked - {load.url_of(line) for line in note.read_text().splitlines()})
        rows.append(Row(what, str(ours), f"adnanh/webhook, of {len(acked):,}", number(lost), None, "0"))
    httpx.delete(f"{bench.vercel}/_calls", timeout=30).raise_for_status()
    acked = _under_kills(times, lambda: bench.peer("killed-naive", peers.naive(bench.vercel)))
    lost = len(acked - _purged(calls(bench.vercel)))
    rows.append(Row(what, str(ours), f"Starlette + httpx inline, of {len(acked):,}", str(lost), None, "0"))
    return rows


def _under_kills(times: int, start: Callable[[], AbstractContextManager[Peer]]) -> set[str]:
    """The URLs of the events that were acknowledged."""
    chance, acked = random.Random(4), set[str]()  # noqa: S311  # the same moments in every run
    for turn in range(times):
        requests = [(load.url_of(name), load.request(name)) for name in (f"k{turn}-{each}" for each in range(3000))]
        with start() as peer:
            acked |= asyncio.run(_kill_amid(peer, requests, chance.uniform(0.05, 0.4)))
    return acked


async def _kill_amid(peer: Peer, requests: list[tuple[str, bytes]], seconds: float) -> set[str]:
    sending = asyncio.create_task(load.send(peer.address, requests, 32))
    await asyncio.sleep(seconds)
    peer.kill()
    return await sending


def _until_gone(script: str) -> None:
    """Waits for the commands that a killed parent had started."""
    deadline = time.monotonic() + 30
    while any(script in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "commands are left over"
        time.sleep(0.05)


def resident(bench: Bench) -> list[Row]:
    """Memory when idle, and the time from start to ready."""
    imports: list[float] = []
    starts: list[float] = []
    memory = 0.0
    for _ in range(bench.scale.starts + 1):
        begun = time.perf_counter()
        command = [sys.executable, "-c", "import starlette, uvicorn, httpx"]
        subprocess.run(command, check=True, env=peers.environment())
        imports.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with bench.relay("resident") as peer:
            starts.append(time.perf_counter() - begun)
            memory = psutil.Process(peer.pid).memory_info().rss / 1e6
    with bench.peer("resident-naive", peers.naive(bench.vercel)) as peer:
        naive = psutil.Process(peer.pid).memory_info().rss / 1e6
    # The first start writes compiled modules and makes the store.
    ready, baseline = statistics.median(starts[1:]), statistics.median(imports[1:])
    rows = [Row("idle RSS, MB, SQLite", number(memory), "Starlette + httpx", number(naive), memory / naive, "≤ 64 MB")]
    if bench.webhook:
        with bench.peer("resident-webhook", peers.webhook(bench.webhook, bench.place("resident-webhook"))) as peer:
            theirs = psutil.Process(peer.pid).memory_info().rss / 1e6
        rows.append(Row("idle RSS, MB, SQLite", number(memory), "adnanh/webhook", number(theirs), memory / theirs))
    rows.append(
        Row(
            "start to ready, s",
            number(ready),
            "python -c 'import starlette, uvicorn, httpx'",
            number(baseline),
            ready / baseline,
            "≤ 2",
        )
    )
    return rows
