"""YAML text → a tree of nodes that know their line.

Built from the parser's events, not by a YAML constructor: nothing is resolved to a type here, an alias cannot multiply
anything, nesting is bounded, and a mistake becomes a node, so that it is reported with its path among all the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml
from msgspec import Struct

from service.domain.errors import ConfigInvalid, Problem
from service.settings.substitution import RESERVED, protect, restore

MAX_DEPTH = 32
_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"

# libyaml where PyYAML was built with it; both give the same events.
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# https://yaml.org/spec/1.2.2/#51-character-set: what a YAML stream may not hold.
_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")


class Mark(Struct, frozen=True):
    """Where a value was written: a line of the file, or (`origin`) an environment variable or a flag."""

    line: int = 0
    origin: str = ""


class Scalar(Struct, frozen=True):
    """A single value, still text. `plain`: written without quotes. `literal`: `${…}` in it is no variable."""

    mark: Mark
    text: str
    plain: bool = True
    literal: bool = False

    def __repr__(self) -> str:
        """Without the text, which may be a secret."""
        return f"Scalar(mark={self.mark!r}, plain={self.plain}, literal={self.literal})"

    @property
    def null(self) -> bool:
        """Whether the file has nothing here, or one of YAML's words for it."""
        return self.plain and not self.literal and self.text in ("", "~", "null", "Null", "NULL")


class Sequence(Struct, frozen=True):
    mark: Mark
    items: tuple[Node, ...]


class Entry(Struct, frozen=True):
    """A key and its value; `mark` is the key's."""

    mark: Mark
    key: str
    node: Node


class Mapping(Struct, frozen=True):
    """Keys and values in file order; a key may still be there twice."""

    mark: Mark
    entries: tuple[Entry, ...] = ()

    def with_entry(self, mark: Mark, key: str, node: Node) -> Mapping:
        """A copy in which `key` has the value `node` and nothing else."""
        return Mapping(self.mark, (*(entry for entry in self.entries if entry.key != key), Entry(mark, key, node)))


class Unusable(Struct, frozen=True):
    """A node this file may not hold, and why."""

    mark: Mark
    message: str


Node = Scalar | Sequence | Mapping | Unusable


def compose(data: bytes) -> Node:
    """The document's root, an empty mapping for an empty document; raises ConfigInvalid where it is no YAML."""
    text = _decoded(data)
    builder = _Builder()
    try:
        for event in _events(protect(text)):
            builder.take(event)
    except yaml.MarkedYAMLError as error:  # the others are about characters, which are checked already
        raise ConfigInvalid([_syntax_problem(error, text)]) from None
    root = builder.root
    return Mapping(Mark(1)) if root is None or (isinstance(root, Scalar) and root.null) else root


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigInvalid([Problem("", "is not UTF-8 text from here on", line)]) from None
    if found := _NOT_YAML.search(text) or RESERVED.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigInvalid([Problem("", f"the character U+{ord(found[0]):04X} may not be in this file", line)])
    return text


def _events(text: str) -> Iterator[yaml.Event]:
    events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
    return events


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    lines = text.splitlines() or [""]
    mark = error.problem_mark or error.context_mark
    line = min(mark.line + 1, len(lines)) if mark else 1
    if error.problem == "exceeded maximum nesting depth":  # libyaml 0.2.6 reads ahead, and has a limit of its own
        return Problem("", _TOO_DEEP, line)
    message = f"is not valid YAML: {error.problem or error.context}"
    if error.context and error.context_mark and error.context_mark.line + 1 != line:
        message += f" ({error.context} from line {error.context_mark.line + 1} on)"
    if lines[line - 1].lstrip(" ").startswith("\t"):
        message += "; this line begins with a tab, YAML indents with spaces"
    return Problem("", message, line)


class _Frame(Struct):
    """A collection that is still open. `children` of a mapping alternate between keys and values."""

    mark: Mark
    mapping: bool
    flaw: str = ""
    children: list[Node] = []

    def close(self) -> Node:
        if self.flaw:
            return Unusable(self.mark, self.flaw)
        if not self.mapping:
            return Sequence(self.mark, tuple(self.children))
        keys, values = self.children[::2], self.children[1::2]
        entries = [
            Entry(key.mark, restore(key.text), value)
            for key, value in zip(keys, values, strict=True)
            if isinstance(key, Scalar)
        ]
        if len(entries) < len(keys):
            return Unusable(self.mark, "has a key that is not plain text; a template that begins with {{ needs quotes")
        return Mapping(self.mark, tuple(entries))


class _Builder:
    """Takes events in order; `root` is the document when they have ended."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[_Frame] = []
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        mark = Mark(event.start_mark.line + 1 if event.start_mark else 1)
        match event:
            case yaml.ScalarEvent():
                self._add(_scalar(event, mark))
            case yaml.AliasEvent():
                self._add(Unusable(mark, "is a YAML alias (*name): write the value itself"))
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, mark)
            case yaml.CollectionEndEvent():
                self._add(self._open.pop().close())
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise ConfigInvalid([Problem("", "a second document begins here; there may be one", mark.line)])

    def _begin(self, event: yaml.CollectionStartEvent, mark: Mark) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise ConfigInvalid([Problem("", _TOO_DEEP, mark.line)])
        flaw = _tag_flaw(event.tag)
        self._open.append(_Frame(mark, isinstance(event, yaml.MappingStartEvent), flaw))

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node


def _scalar(event: yaml.ScalarEvent, mark: Mark) -> Node:
    if flaw := _tag_flaw(event.tag):
        return Unusable(mark, flaw)
    return Scalar(mark, event.value, plain=not event.style)


def _tag_flaw(tag: str | None) -> str:
    return "has a YAML tag (!name): leave it out, quotes make text of anything" if tag else ""
