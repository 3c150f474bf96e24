"""How commands print: tables for people, JSON for programs, and nothing that could drive a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from service.domain.clock import iso

_WIDEST = 120  # characters of a column in a pipe: one endless URL does not push every other row off the screen

F = TypeVar("F", bound=Callable[..., Any])


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: object) -> None:
    """One document. Escaped to ASCII: whatever the terminal or a sender's odd characters, it is read back the same."""
    click.echo(json.dumps(value, indent=2))


def plain(text: object) -> str:
    r"""One line in which control characters, direction marks and lone surrogates are spelled out (`\x1b`)."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def moment(when: datetime | None) -> str | None:
    return None if when is None else iso(when)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str) -> None:
    """A table; `nothing` goes to stderr where there are no rows."""
    cells = [["" if cell is None else plain(cell) for cell in row] for row in rows]
    if not cells:
        click.echo(nothing, err=True)
    elif sys.stdout.isatty():
        _print_rich(columns, cells)
    else:
        _print_aligned(columns, cells)


def _print_aligned(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    lines = [[column.upper() for column in columns], *cells]
    widths = [min(_WIDEST, max(len(line[index]) for line in lines)) for index in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    # Imported here: it costs more than all the rest of a small command.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell) for cell in line))  # as Text, no [markup] in it is obeyed
    Console().print(table)


def print_fields(pairs: Iterable[tuple[str, object]]) -> None:
    """`name   value`, one a line, aligned; None is left out."""
    shown = [(name, plain(value)) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {value}".rstrip())


def counted(number: int, noun: str) -> str:
    """`1 source`, `2 sources`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
