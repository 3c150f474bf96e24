"""One statement for many rows: what a group of requests writes costs a few statements, not a few each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

MOST = 128
"""Rows of one statement."""

_DIGITS = 3  # significant binary ones in a number of rows: two statements or three for any group, and few to be kept

_PARAMETER = re.compile(r":(\w+)|%\((\w+)\)s")


class RowSet:
    """A statement that holds `VALUES :rows`, and perhaps other parameters, by position in the driver's spelling."""

    def __init__(self, statement: str) -> None:
        parts, names, at = [""], [], 0
        self._mark = "?"
        for found in _PARAMETER.finditer(statement):
            if found[2] is not None:
                self._mark = "%s"
            parts[-1] += statement[at : found.start()]
            at = found.end()
            name = found[1] or found[2]
            if name == "rows":
                parts.append("")
            else:
                names.append((len(parts), name))
                parts[-1] += self._mark
        self._before, self._after = parts[0], parts[1] + statement[at:]
        self._names_before = tuple(name for part, name in names if part == 1)
        self._names_after = tuple(name for part, name in names if part == 2)
        self._text = lru_cache(maxsize=None)(self._made)  # one a number of rows

    def chunks(self, rows: Sequence[Sequence[Any]], scalars: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
        """The statements that take all the rows, in their order, each with its parameters."""
        at = 0
        while at < len(rows):
            size = _rounded(min(MOST, len(rows) - at))
            parameters = [scalars[name] for name in self._names_before]
            for row in rows[at : at + size]:
                parameters.extend(row)
            parameters += [scalars[name] for name in self._names_after]
            yield self._text(size, len(rows[at])), parameters
            at += size

    def _made(self, size: int, width: int) -> str:
        row = f"({', '.join([self._mark] * width)})"
        return self._before + ", ".join([row] * size) + self._after


def _rounded(number: int) -> int:
    """The next lower number that few statements can be kept prepared for: 1 to 8, 10, 12, 14, 16, 20, 24, …"""
    shift = max(0, number.bit_length() - _DIGITS)
    return number >> shift << shift
