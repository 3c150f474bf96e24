"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import random
from datetime import datetime
from functools import lru_cache

from service.domain.clock import to_ms

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: no letter is mistaken for a digit
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_OF_TIME, _OF_CHANCE = range(40, -1, -10), range(70, -1, -10)  # where the pairs of letters begin, in bits


class _Maker:
    """Numbers of 128 bits: milliseconds above, chance below. Those of one millisecond go up, so that ids keep the order
    in which things were made; the steps are large and random, so that two threads at once do not meet."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest = 0

    def next(self, milliseconds: int) -> int:
        # An id is no secret, so this asks the system for nothing.
        latest = self._latest
        if latest >> 80 == milliseconds:
            number = latest + 1 + random.getrandbits(64)
        else:
            number = milliseconds << 80 | random.getrandbits(79)
        self._latest = number
        return number


_maker = _Maker()


def new_id(prefix: str, now: datetime) -> str:
    """`rcp_` and 26 characters: 48 bits of milliseconds, then 80 of chance (the ULID layout)."""
    return f"{prefix}_{_spelled(_maker.next(to_ms(now)))}"


def first_id(prefix: str, moment: datetime) -> str:
    """The least id that could have been made at `moment`: every earlier one sorts before it."""
    return f"{prefix}_" + _spelled(to_ms(moment) << 80)


def _spelled(number: int) -> str:
    return _spelled_time(number >> 80) + "".join([_PAIRS[number >> shift & 1023] for shift in _OF_CHANCE])


@lru_cache(maxsize=16)  # under load, many ids are made within a millisecond
def _spelled_time(milliseconds: int) -> str:
    return "".join([_PAIRS[milliseconds >> shift & 1023] for shift in _OF_TIME])
