"""What a setting must be, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import inspect

_NAMES: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.ListType: "a list",
    inspect.DictType: "a mapping",
    inspect.StructType: "a mapping",
    inspect.CustomType: "text or {file: PATH}",
}


def wanted(kind: inspect.Type) -> str:
    """`a whole number from 0 to 65535`, `one of url, form`, `a list`."""
    match kind:
        case inspect.IntType():
            return "a whole number" + _range(kind)
        case inspect.FloatType():
            return "a number" + _range(kind)
        case inspect.LiteralType() | inspect.EnumType():
            words = choice_words(kind)
            return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
        case inspect.UnionType():
            return " or ".join(wanted(member) for member in kind.types if not isinstance(member, inspect.NoneType))
        case _:
            return _NAMES[type(kind)]


def choices(kind: inspect.LiteralType | inspect.EnumType) -> Sequence[Any]:
    """The values a setting is one of, in the model's order."""
    return list(kind.cls) if isinstance(kind, inspect.EnumType) else list(kind.values)


def choice_words(kind: inspect.LiteralType | inspect.EnumType) -> list[str]:
    """The choices as they are written in the file."""
    return ["true" if choice is True else str(choice) for choice in choices(kind)]


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low, high = kind.ge, kind.le
    if low is not None and high is not None:
        return f" from {low:.0f} to {high:.0f}"
    return f" of at least {low:.0f}" if low is not None else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?`, or nothing where no known word is close."""
    near = get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""
