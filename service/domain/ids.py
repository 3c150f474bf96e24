"""Identifiers that sort by the time they were made."""

from __future__ import annotations

import random
from datetime import datetime

from service.domain.clock import to_ms

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: no letter is mistaken for a digit
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def new_id(prefix: str, now: datetime) -> str:
    """`rcp_` and 26 characters: 48 bits of milliseconds, then 80 random bits (the ULID layout)."""
    number = to_ms(now) << 80 | random.getrandbits(80)  # an id is no secret, so this asks the system for nothing
    return f"{prefix}_{_spelled(number)}"


def first_id(prefix: str, moment: datetime) -> str:
    """The least id that could have been made at `moment`: every earlier one sorts before it."""
    return f"{prefix}_" + _spelled(to_ms(moment) << 80)


def _spelled(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])
