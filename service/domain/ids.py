"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import random
from datetime import datetime
from itertools import count

from service.domain.clock import to_ms

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: no letter is mistaken for a digit
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_IN_A_ROW = len(_PAIRS)  # ids that differ in their last two letters alone


class _Row:
    """The ids of one millisecond: those that begin alike, numbered in the order in which they are made."""

    __slots__ = ("beginning", "milliseconds", "next", "number")

    def __init__(self, milliseconds: int, number: int) -> None:
        self.milliseconds = milliseconds
        self.number = number  # what begins them: 48 bits of milliseconds, 70 of chance
        self.beginning = _spelled(number, 24)
        self.next = count().__next__  # which two threads may call at once


def new_id(prefix: str, now: datetime) -> str:
    """`rcp_` and 26 characters: 48 bits of milliseconds, then 80 of chance (the ULID layout).

    Those that are made in one millisecond go up, so that ids keep the order in which things were made.
    """
    global _row  # noqa: PLW0603 - one for all that is made in this process
    milliseconds = to_ms(now)
    row = _row
    if row.milliseconds == milliseconds and (place := row.next()) < _IN_A_ROW:
        return f"{prefix}_{row.beginning}{_PAIRS[place]}"
    if row.milliseconds == milliseconds:
        number = row.number + 1 + random.getrandbits(54)
    else:
        number = milliseconds << 70 | random.getrandbits(69)  # an id is no secret: the system is asked for nothing
    _row = row = _Row(milliseconds, number)
    return f"{prefix}_{row.beginning}{_PAIRS[row.next()]}"


def first_id(prefix: str, moment: datetime) -> str:
    """The least id that could have been made at `moment`: every earlier one sorts before it."""
    return f"{prefix}_" + _spelled(to_ms(moment) << 80, 26)


def _spelled(number: int, letters: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * letters - 10, -1, -10)])


_row = _Row(0, 0)
