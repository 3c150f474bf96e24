"""`600/minute`: how many requests a source may make."""

from __future__ import annotations

import re

_QUOTA = re.compile(r"([1-9][0-9]{0,8})\s*/\s*(second|minute|hour|s|m|h)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_quota(text: str) -> tuple[int, int]:
    """Requests and the seconds they are counted over; ValueError."""
    found = _QUOTA.fullmatch(text)
    if found is None:
        raise ValueError("must be a number per second, minute or hour, such as 600/minute")
    return int(found[1]), _SECONDS[found[2][0]]
