"""What names an asset in the tables: its own id and environment, or a digest where those are too long for an index."""

from __future__ import annotations

from hashlib import sha256

LONGEST = 1000
"""Bytes that stay as they are: three of them have to fit into an entry of an index, which is 2704 bytes at most on
PostgreSQL (https://www.postgresql.org/docs/current/btree.html), or every delivery of the event would fail for ever."""

_DIGEST = "sha256:"


def key_of(name: str | None) -> str:
    """The id or environment as it is stored; applied to what it gave, it changes nothing. '' stands for none.

    PostgreSQL's text holds no NUL: its symbol takes the place, on SQLite too, so that what was read is found again by
    what was asked for.
    """
    if not name:
        return ""
    if "\0" in name:
        name = name.replace("\0", "\u2400")
    if len(name) * 4 <= LONGEST:
        return name
    told = name.encode("utf-8", "surrogatepass")
    return name if len(told) <= LONGEST else _DIGEST + sha256(told).hexdigest()
