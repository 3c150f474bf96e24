"""Nodes → the settings structs, reporting every mistake on the way.

What cannot be read is reported and left at its default (or, where there is none, a placeholder), so that the checks
after this one still see everything else. Nothing that was reported as wrong leaves the loader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import inspect

from service.domain.secret import Secret
from service.settings import yaml_nodes as nodes
from service.settings.model import Settings
from service.settings.report import Report, join
from service.settings.secret_files import read_secret_file
from service.settings.substitution import Expanded, expand, usable
from service.settings.wording import choice_words, choices, did_you_mean, wanted

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")
_BOOLEANS = {"true": True, "false": False}


class _Nothing:
    """Stands for a value that is left out or could not be read."""


_NOTHING: Final = _Nothing()


class Decoder:
    """Reads one tree. `folder` is where `{file: PATH}` starts from."""

    def __init__(self, report: Report, environ: Mapping[str, str], folder: Path) -> None:
        self._report = report
        self._environ = environ
        self._folder = folder

    def settings(self, root: nodes.Node) -> Settings:
        """The settings as far as they can be read; the report says what is missing from them."""
        self._report.mark("", nodes.Mark(root.mark.line or 1, root.mark.origin))
        kind = inspect.type_info(Settings)
        value = self._value(kind, root, "", optional=True)
        return value if isinstance(value, Settings) else Settings()

    def _value(self, kind: inspect.Type, node: nodes.Node, path: str, *, optional: bool) -> Any:
        """The value, or _NOTHING after a problem or where an optional setting is written without a value."""
        kind = _plain_kind(kind)
        if isinstance(node, nodes.Unusable):
            self._report.add(path, node.message)
            return _NOTHING
        if isinstance(kind, inspect.CustomType):
            return self._secret(node, path)
        if isinstance(kind, inspect.StructType | inspect.DictType | inspect.ListType):
            return self._collection(kind, node, path, optional)
        if not isinstance(node, nodes.Scalar):
            return self._wrong(kind, node, path)
        expanded = self._expanded(node, path)
        if expanded is None:
            return _NOTHING
        if node.null or (expanded.names and not expanded.text):
            return _NOTHING if optional else self._problem(path, "is empty")
        return self._scalar(kind, node, expanded, path)

    def _collection(self, kind: inspect.Type, node: nodes.Node, path: str, optional: bool) -> Any:
        match kind, node:
            case inspect.StructType(), nodes.Mapping():
                return self._struct(kind, node, path)
            case inspect.DictType(), nodes.Mapping():
                return self._dict(kind, node, path)
            case inspect.ListType(), nodes.Sequence():
                return self._list(kind, node, path)
            case _, nodes.Scalar(null=True) if optional:
                return _NOTHING
            case _:
                return self._wrong(kind, node, path)

    def _struct(self, kind: inspect.StructType, node: nodes.Mapping, path: str) -> Any:
        fields = {field.encode_name: field for field in kind.fields}
        found: dict[str, Any] = {}
        for entry, place in self._entries(node, path):
            field = fields.get(entry.key)
            if field is None:
                self._report.add(place, f"unknown key{did_you_mean(entry.key, fields)}")
                continue
            value = self._value(field.type, entry.node, place, optional=not field.required)
            if value is not _NOTHING:
                found[field.name] = value
        for name, field in fields.items():
            if field.required and field.name not in found:
                if not self._report.spoiled(join(path, name)):
                    self._report.add(join(path, name), "is missing")
                found[field.name] = _placeholder(field.type)
        return kind.cls(**found)

    def _dict(self, kind: inspect.DictType, node: nodes.Mapping, path: str) -> dict[str, Any]:
        found = {}
        for entry, place in self._entries(node, path):
            if not usable(entry.key):
                self._report.add(place, "the key holds a control character or something that is not UTF-8")
            value = self._value(kind.value_type, entry.node, place, optional=False)
            if value is not _NOTHING:
                found[entry.key] = value
        return found

    def _entries(self, node: nodes.Mapping, path: str) -> list[tuple[nodes.Entry, str]]:
        """The entries with their paths; a key given twice is reported and counts once."""
        first: dict[str, nodes.Entry] = {}
        for entry in node.entries:
            place = join(path, entry.key)
            if entry.key in first:
                self._report.add(place, f"is given twice, first on line {first[entry.key].mark.line}", entry.mark)
            else:
                first[entry.key] = entry
                self._report.mark(place, entry.mark)
        return [(entry, join(path, key)) for key, entry in first.items()]

    def _list(self, kind: inspect.ListType, node: nodes.Sequence, path: str) -> Any:
        if len(node.items) < (kind.min_length or 0):
            return self._problem(path, "is an empty list: give at least one, or leave the key out")
        found = []
        for index, item in enumerate(node.items):
            place = join(path, index)
            self._report.mark(place, item.mark)
            value = self._value(kind.item_type, item, place, optional=False)
            # A placeholder keeps the places of the others.
            found.append(_placeholder(kind.item_type) if value is _NOTHING else value)
        return found

    def _secret(self, node: nodes.Node, path: str) -> Any:
        match node:
            case nodes.Scalar():
                expanded = self._expanded(node, path, "set it, or mount the secret and write {{file: PATH}}")
                if expanded is None:
                    return _NOTHING
                if not expanded.text or node.null:
                    return self._problem(path, "is empty: a secret may not be")
                return Secret(expanded.text)
            case nodes.Mapping(entries=[nodes.Entry(key="file", node=nodes.Scalar() as name)]):
                expanded = self._expanded(name, path)
                if expanded is None:
                    return _NOTHING
                try:
                    return Secret(read_secret_file(self._folder / expanded.text))
                except ValueError as error:
                    return self._problem(path, str(error))
            case _:
                return self._problem(path, "must be text or {file: PATH}")

    def _scalar(self, kind: inspect.Type, node: nodes.Scalar, expanded: Expanded, path: str) -> Any:
        # Quotes make text of a number, except around a variable, where many write them out of habit.
        unquoted = node.plain or bool(expanded.names)
        value = _SCALARS[type(kind)](kind, expanded.text, unquoted)
        if value is not _NOTHING:
            return value
        if not expanded.text:
            return self._problem(path, "is empty: give a value or leave the key out")
        given = f"the value of ${{{expanded.names[0]}}}" if expanded.names else repr(expanded.text[:40])
        hint = "" if unquoted else " in quotes"
        if isinstance(kind, inspect.LiteralType | inspect.EnumType) and not expanded.names:
            hint += did_you_mean(expanded.text, choice_words(kind))
        return self._problem(path, f"must be {wanted(kind)}, not {given}{hint}")

    def _expanded(
        self, node: nodes.Scalar, path: str, remedy: str = "set it, or write ${{{name}:-default}}"
    ) -> Expanded | None:
        if node.literal:
            if usable(node.text):
                return Expanded(node.text)
            self._report.add(path, "holds a control character or something that is not UTF-8")
            return None
        expanded = expand(node.text, self._environ, remedy)
        for problem in expanded.problems:
            self._report.add(path, problem)
        return None if expanded.problems else expanded

    def _wrong(self, kind: inspect.Type, node: nodes.Node, path: str) -> _Nothing:
        # The text itself is not repeated: it may be a secret that was put one level too high.
        given = {nodes.Scalar: "text", nodes.Mapping: "a mapping", nodes.Sequence: "a list"}[type(node)]
        if isinstance(node, nodes.Scalar) and node.null:
            given = "nothing"
        return self._problem(path, f"must be {wanted(kind)}, not {given}")

    def _problem(self, path: str, message: str) -> _Nothing:
        self._report.add(path, message)
        return _NOTHING


def _plain_kind(kind: inspect.Type) -> inspect.Type:
    """`kind` without its description and without `| None`."""
    if isinstance(kind, inspect.Metadata):
        return _plain_kind(kind.type)
    if isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        return _plain_kind(members[0]) if len(members) == 1 else inspect.UnionType(tuple(members))
    return kind


def _placeholder(kind: inspect.Type) -> Any:
    """What stands in for what could not be read, in settings that are only looked at for more problems."""
    kind = _plain_kind(kind)
    if isinstance(kind, inspect.StructType):
        return kind.cls(**{field.name: _placeholder(field.type) for field in kind.fields if field.required})
    return Secret("") if isinstance(kind, inspect.CustomType) else ""


def _text(kind: inspect.Type, text: str, unquoted: bool) -> Any:
    return text or _NOTHING


def _boolean(kind: inspect.Type, text: str, unquoted: bool) -> Any:
    return _BOOLEANS.get(text.lower(), _NOTHING) if unquoted else _NOTHING


def _integer(kind: Any, text: str, unquoted: bool) -> Any:
    return _within(kind, int(text)) if unquoted and _INTEGER.fullmatch(text) else _NOTHING


def _number(kind: Any, text: str, unquoted: bool) -> Any:
    return _within(kind, float(text)) if unquoted and _NUMBER.fullmatch(text) else _NOTHING


def _within(kind: inspect.IntType | inspect.FloatType, number: float) -> Any:
    low = -math.inf if kind.ge is None else kind.ge
    high = math.inf if kind.le is None else kind.le
    above = kind.gt is None or number > kind.gt
    return number if low <= number <= high and above else _NOTHING


def _choice(kind: Any, text: str, unquoted: bool) -> Any:
    for choice in choices(kind):
        if choice is True:
            return True if _boolean(kind, text, unquoted) is True else _NOTHING
        if text == choice:
            return choice
    return _NOTHING


def _text_or_boolean(kind: inspect.Type, text: str, unquoted: bool) -> Any:
    value = _boolean(kind, text, unquoted)
    return _text(kind, text, unquoted) if value is _NOTHING else value


# The only union in the model is `when`: a Jinja expression or plainly true or false.
_SCALARS: dict[type[inspect.Type], Callable[[Any, str, bool], Any]] = {
    inspect.StrType: _text,
    inspect.BoolType: _boolean,
    inspect.IntType: _integer,
    inspect.FloatType: _number,
    inspect.LiteralType: _choice,
    inspect.EnumType: _choice,
    inspect.UnionType: _text_or_boolean,
}
