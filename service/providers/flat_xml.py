"""XML bodies of one level: a root and its fields, with nothing in them that a parser would have to follow or expand."""

from __future__ import annotations

from typing import NoReturn
from xml.parsers import expat

from service.domain.errors import Unreadable

MAX_FIELDS = 64


def flat_fields(body: bytes, root: str) -> dict[str, str]:
    """The texts below the root element by name. Unreadable for what is not XML, nests deeper, repeats a field, or
    declares a document type: entities, which an attacker may have expanded without end, can stand nowhere else."""
    reader = _Reader(root)
    parser = expat.ParserCreate(encoding="utf-8")  # whatever the declaration says: no other codec is ever loaded
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise Unreadable(f"the body is not XML: {error}") from None
    return reader.fields


class _Reader:
    def __init__(self, root: str) -> None:
        self.fields: dict[str, str] = {}
        self._root = root
        self._path: list[str] = []

    def refuse_doctype(self, *_: object) -> NoReturn:
        raise Unreadable("the body's XML declares a document type")

    def start(self, name: str, _: object) -> None:
        depth = len(self._path)
        if depth > 1 or (depth == 0 and name != self._root):
            raise Unreadable(f"the body's XML is not a {self._root} of plain fields")
        if depth == 1:
            if name in self.fields or len(self.fields) == MAX_FIELDS:
                raise Unreadable(f"the body's XML has too many fields, or {name} twice")
            self.fields[name] = ""
        self._path.append(name)

    def end(self, _: str) -> None:
        self._path.pop()

    def text(self, data: str) -> None:
        if len(self._path) == 2:  # what stands between fields is white space
            self.fields[self._path[1]] += data
