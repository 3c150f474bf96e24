"""JSON bodies: read strictly once, then looked into without an exception whatever their shape."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from service.domain.clock import parse_moment
from service.domain.errors import Unreadable

MAX_DEPTH = 64  # no sender here nests a tenth as deep; every later walk over a body may recurse
_MAX_INTEGER = 2**64  # beyond it JSON writers disagree, ours among them
_ALIKE = bytes.maketrans(b"123456789{", b"000000000[")
_LONG_NUMBER = b"0" * len(str(_MAX_INTEGER))
_YEARS = range(1970, 9000)  # any UTC offset may be added to these without leaving what datetime can hold


def parse(body: bytes) -> Any:
    """The JSON document in `body`; Unreadable for anything a JSON reader could choke on, now or later."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise Unreadable(f"the body is not JSON: {error}") from None
    if _may_be_too_much(body):
        _check([document], MAX_DEPTH)
    return document


def parse_object(body: bytes) -> dict[str, Any]:
    """As `parse`, and the document is an object."""
    document = parse(body)
    if not isinstance(document, dict):
        raise Unreadable("the body is JSON, but not an object")
    return document


def _may_be_too_much(body: bytes) -> bool:
    """Whether there are enough digits in a row, or brackets, for what `_check` refuses. Walking through every document
    would cost more than all the rest of reading it."""
    alike = body.translate(_ALIKE)
    return alike.count(b"[") > MAX_DEPTH or _has_long_number(alike)


def _has_long_number(alike: bytes) -> bool:
    """Whether digits stand in a row that are not the beginning of a string, as Azure's sequence numbers are."""
    at = alike.find(_LONG_NUMBER)
    while at > 0 and alike[at - 1 : at] == b'"':
        at = alike.find(_LONG_NUMBER, alike.find(b'"', at))
    return at >= 0


def _check(value: dict[str, Any] | list[Any], depth: int) -> None:
    """`depth` is how many levels there may be below this one."""
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, (dict, list)):
            if depth == 0:
                raise Unreadable(f"the body is nested deeper than {MAX_DEPTH} levels")
            _check(child, depth - 1)
        elif isinstance(child, int) and abs(child) > _MAX_INTEGER:
            raise Unreadable("the body holds an integer of more than 64 bits")


def dig(value: Any, *path: str) -> Any:
    """What stands below nested object keys, None where the path leaves the document."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text(value: Any, *path: str) -> str | None:
    """A string that is not empty, else None."""
    for key in path:  # as `dig` does: calling it would cost as much again, and an event is read with dozens of these
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value if isinstance(value, str) and value else None


def first_text(value: Any, *keys: str) -> str | None:
    """The first of several keys of one object that holds a string."""
    for key in keys:
        if (found := text(value, key)) is not None:
            return found
    return None


def scalar(value: Any, *path: str) -> str | None:
    """A string or an integer as text (ids and versions come as either), else None."""
    for key in path:  # as in `text`
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def obj(value: Any, *path: str) -> dict[str, Any]:
    """An object, else an empty one."""
    found = dig(value, *path)
    return found if isinstance(found, dict) else {}


def array(value: Any, *path: str) -> list[Any]:
    """An array, else an empty one."""
    found = dig(value, *path)
    return found if isinstance(found, list) else []


def strings(document: Any) -> list[str]:
    """Every string in the document but the keys, in order."""
    found: list[str] = []
    _collect([document], found)
    return found


def _collect(value: dict[str, Any] | list[Any], found: list[str]) -> None:
    for child in value.values() if isinstance(value, dict) else value:
        if isinstance(child, str):
            found.append(child)
        elif isinstance(child, (dict, list)):
            _collect(child, found)


def moment(value: Any, *path: str) -> datetime | None:
    """A date-time or Unix time of the years 1970 to 8999, else None."""
    found = scalar(value, *path)
    if found is None:
        return None
    try:
        parsed = parse_moment(found)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.year in _YEARS else None


def is_url(value: Any) -> bool:
    """Whether a value is a string that looks like an absolute http(s) URL."""
    return isinstance(value, str) and value.startswith(("https://", "http://"))
