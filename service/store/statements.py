"""The named statements of the `.sql` files: `-- name: …`, the text below it, parameters spelled `:so`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

from service.store.rowsets import RowSet

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")  # and no cast, which is two colons


class Statements:
    """Statements by name, in one driver's spelling."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._over_rows: dict[str, RowSet] = {}

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def over_rows(self, name: str) -> RowSet:
        """One of those that take rows, read when it is first needed."""
        known = self._over_rows.get(name)
        if known is None:
            known = self._over_rows[name] = RowSet(self._texts[name])
        return known


def load_statements(dialect: str) -> dict[str, str]:
    """The statements of both databases and of the dialect's own file, by name."""
    folder = files("service.store") / "sql"
    found: dict[str, str] = {}
    for name in ("common.sql", "lookups.sql", f"{dialect}.sql"):
        _, *parts = _NAME.split((folder / name).read_text(encoding="utf-8"))
        found |= {key: _COMMENT.sub("", text).strip() for key, text in zip(parts[::2], parts[1::2], strict=True)}
    return found


def for_psycopg(texts: Mapping[str, str]) -> dict[str, str]:
    """The same with parameters as psycopg spells them: https://www.psycopg.org/psycopg3/docs/basic/params.html"""
    return {name: _PARAMETER.sub(r"%(\1)s", text.replace("%", "%%")) for name, text in texts.items()}
