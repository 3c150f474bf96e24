"""Figures → the table, the README between its markers, and a plot."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

BEGIN = "<!-- benchmarks: written by `make bench ARGS=--write` -->"
END = "<!-- /benchmarks -->"
_HEAD = ("measured", "relay", "beside it", "", "ratio", "aim")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of ours beside one of somebody else's, or of our own under other conditions."""

    measured: str
    ours: str
    beside: str
    theirs: str
    ratio: float | None
    aim: str = ""

    def cells(self) -> tuple[str, ...]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return (self.measured, self.ours, self.beside, self.theirs, ratio, self.aim)


def number(value: float) -> str:
    """As a table shows it: three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def text(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [_HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(_HEAD))]
    right = {1, 3, 4}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(rows: Sequence[Row], about: str) -> str:
    body = "\n".join(f"| {' | '.join(row.cells())} |" for row in rows)
    return f"{about}\n\n| {' | '.join(_HEAD)} |\n| --- | ---: | --- | ---: | ---: | --- |\n{body}\n"


def machine() -> str:
    """The machine in a line."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    kilobytes = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model}, {kilobytes / 2**20:.0f} GB, {platform.system()}"
        f" {platform.release().split('-')[0]}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def write_between_markers(path: Path, table: str) -> None:
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{path.name} has no markers to write between")
    path.write_text(f"{before}{BEGIN}\n{table}{END}{after}")


def plot(bars: Sequence[tuple[str, float, bool]], title: str, about: str) -> str:
    """SVG: one bar a figure, the relay's own in another colour."""
    most = max(value for _, value, _ in bars)
    parts = [f'<text x="12" y="26" font-size="16">{escape(title)}</text>']
    for index, (name, value, ours) in enumerate(bars):
        y = 44 + 26 * index
        colour = "#2563eb" if ours else "#9ca3af"
        parts += [
            f'<text x="290" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="300" y="{y}" width="{max(1, 400 * value / most):.1f}" height="18" fill="{colour}"/>',
            f'<text x="{308 + 400 * value / most:.1f}" y="{y + 14}">{value:.2f}</text>',
        ]
    height = 44 + 26 * len(bars)
    parts.append(f'<text x="12" y="{height + 14}" font-size="11" fill="#6b7280">{escape(about)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 {height + 26}" font-family="sans-serif" '
        f'font-size="13">\n<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
