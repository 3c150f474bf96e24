"""JSON as JavaScript writes it: `JSON.stringify(JSON.parse(text))`, for senders that sign what they read.

https://tc39.es/ecma262/#sec-json.stringify
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from json.encoder import encode_basestring
from math import isfinite
from typing import Any, NoReturn

from service.providers.json_body import MAX_DEPTH

_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')  # of surrogates only lone ones: Python has no others in a string
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LAST_INDEX = 2**32 - 2
_PLAIN_DIGITS = 21  # numbers of more digits before the point get an exponent
_PLAIN_ZEROS = -6  # and so do those of as many zeros after it


def reserialized(body: bytes) -> str:
    """The JSON document in `body`, parsed and written as JavaScript does; ValueError for what JavaScript or this relay
    does not take."""
    try:
        return stringify(_DECODER.decode(body.decode()))
    except RecursionError:
        raise ValueError("nested too deep") from None


def stringify(value: Any, depth: int = MAX_DEPTH) -> str:
    """`JSON.stringify` of objects, arrays, strings, floats, booleans and None; ValueError where nested too deep."""
    match value:
        case str():
            return _string(value)
        case True | False | None:
            return json.dumps(value)
        case float():
            return _number(value)
    if depth == 0:
        raise ValueError("nested too deep")
    if isinstance(value, list):
        return f"[{','.join(stringify(one, depth - 1) for one in value)}]"
    members = (f"{_string(key)}:{stringify(value[key], depth - 1)}" for key in _ordered(value))
    return f"{{{','.join(members)}}}"


def _ordered(members: dict[str, Any]) -> list[str]:
    """Array indices first, ascending, then the other keys as they came; a repeated one stands where it came first.

    https://tc39.es/ecma262/#sec-ordinaryownpropertykeys
    """
    indices = [key for key in members if _INDEX.fullmatch(key) and int(key) <= _LAST_INDEX]
    return [*sorted(indices, key=int), *(key for key in members if key not in set(indices))] if indices else [*members]


def _string(value: str) -> str:
    """https://tc39.es/ecma262/#sec-quotejsonstring"""
    if value.isascii():
        return encode_basestring(value)
    return f'"{_ESCAPED.sub(_escape, value)}"'


def _escape(found: re.Match[str]) -> str:
    return _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}"


def _number(value: float) -> str:
    """The fewest digits that are read as the same number: https://tc39.es/ecma262/#sec-numeric-types-number-tostring"""
    if not isfinite(value):
        return "null"
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, minus = "".join(map(str, digits)), "-" if sign else ""
    point = len(text) + int(exponent)
    if not _PLAIN_ZEROS < point <= _PLAIN_DIGITS:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        return f"{minus}{text[0]}{fraction}e{point - 1:+d}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    whole, fraction = text[:point].ljust(point, "0"), text[point:]
    return minus + (f"{whole}.{fraction}" if fraction else whole)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# Every number is a double in JavaScript, also one that looks like an integer.
_DECODER = json.JSONDecoder(parse_int=float, parse_float=float, parse_constant=_refuse)
