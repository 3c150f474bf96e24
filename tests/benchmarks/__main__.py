"""The relay beside its peers, in one table of ratios.

    make bench [ARGS="--rounds 5 --only acks --only killed"]

Everything runs on this machine, load generator included, so that the absolute figures are this machine's; the ratios
are of medians over rounds that alternate; beside the bare endpoint each round has processes of its own, since two
of one program differ by up to a tenth. Latency is at half of each one's peak: wrk's 64 connections pause between
their requests, exponentially distributed, which is near to an open loop. `--write` puts the table into README.md and a
plot beside this file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import measures, report, tools
from benchmarks.measures import Bench, Scale
from benchmarks.report import Row
from support.process import running

_HERE = Path(__file__).parent
_NEEDS_WRK = ("acks", "stored-sqlite", "stored-postgres", "workers")
_PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "acks": measures.acks,
    "stored-sqlite": measures.stored_sqlite,
    "stored-postgres": measures.stored_postgres,
    "workers": measures.workers,
    "burst": measures.burst,
    "idle": measures.idle,
    "killed": measures.killed,
    "resident": measures.resident,
}


def run(scale: Scale, parts: list[str], wrk: str | None, webhook: str | None) -> tuple[list[Row], Bench]:
    """The rows of the parts, in the table's order."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as name:
        folder = Path(name)
        with running("fake-vercel", "--port", "0", cwd=folder) as vercel:
            bench = Bench(scale=scale, folder=folder, vercel=vercel.listening().address, wrk=wrk, webhook=webhook)
            for part in parts:
                if part in _NEEDS_WRK and wrk is None:
                    continue
                begun = time.monotonic()
                rows += _PARTS[part](bench)
                print(f"{part}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return rows, bench


def main(arguments: list[str] | None = None) -> None:
    default = Scale()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--seconds", type=int, default=default.seconds, help="of one round against one target")
    parser.add_argument("--starts", type=int, default=default.starts, help="of the relay beside the bare endpoint")
    parser.add_argument("--stored", type=int, nargs="+", default=default.stored, metavar="RECEIPTS")
    parser.add_argument("--events", type=int, default=default.events, help="of the burst")
    parser.add_argument("--assets", type=int, default=default.assets, help="that the burst is about")
    parser.add_argument("--kills", type=int, default=default.kills)
    parser.add_argument("--only", action="append", choices=_PARTS)
    parser.add_argument("--write", action="store_true", help="README.md's table and tests/benchmarks/results.svg")
    given = parser.parse_args(arguments)
    if given.write and given.only:
        parser.error("--write takes the whole table, so it does not go with --only")
    scale = Scale(
        rounds=given.rounds,
        seconds=given.seconds,
        starts=given.starts,
        stored=tuple(given.stored),
        events=given.events,
        assets=given.assets,
        kills=given.kills,
    )
    rows, bench = run(scale, given.only or list(_PARTS), tools.have("wrk"), tools.have("webhook"))
    about = (
        f"{report.machine()}; load generator and peers on the same machine, medians of {scale.rounds} rounds, and of "
        f"{scale.starts} starts beside the bare endpoint."
    )
    print(f"{about}\n\n{report.text(rows)}")
    if given.write:
        report.write_between_markers(_HERE.parents[1] / "README.md", report.markdown(rows, about))
        title = "Acknowledged webhooks a second, as a share of a bare Starlette endpoint's"
        (_HERE / "results.svg").write_text(report.plot(bench.bars, title, about))


if __name__ == "__main__":
    main()
