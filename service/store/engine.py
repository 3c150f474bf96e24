"""What a database has to offer the stores above it: transactions, grouped; reads beside them; a dispatcher's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any, Protocol, TypeVar

import aiosql

T = TypeVar("T")
Row = Any  # both drivers are set up so that a row answers to column names


class Tx:
    """One open transaction: the named statements, bound to its connection."""

    __slots__ = ("connection", "queries")

    def __init__(self, queries: Any, connection: Any) -> None:
        self.queries = queries
        self.connection = connection

    def run(self, statement: str, **parameters: Any) -> int:
        """Carry out a statement; the number of rows it touched."""
        return int(getattr(self.queries, statement)(self.connection, **parameters))

    def one(self, statement: str, **parameters: Any) -> Row | None:
        """The first row, or None."""
        return getattr(self.queries, statement)(self.connection, **parameters)

    def value(self, statement: str, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        return getattr(self.queries, statement)(self.connection, **parameters)

    def all(self, statement: str, **parameters: Any) -> list[Row]:
        """Every row."""
        rows: Iterator[Row] = getattr(self.queries, statement)(self.connection, **parameters)
        return list(rows)


class Engine(Protocol):
    """A database. A job given to `write` may run more than once before it commits: it must be free of side effects
    outside its transaction."""

    async def write(self, job: Callable[[Tx], T]) -> T:
        """Run a job in a transaction and return once that is on disk; raises StoreUnavailable."""
        ...

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Run a reading job on what is committed; raises StoreUnavailable."""
        ...

    def try_lead(self) -> bool:
        """Whether this process is now the one that may dispatch; the lock ends with the process, however it ends."""
        ...

    async def close(self) -> None:
        """Finish what is under way, then let go of the database."""
        ...


def load_queries(dialect: str, driver: str) -> Any:
    """The statements of `common.sql` and of the dialect's own file, parsed once."""
    folder = files("service.store") / "sql"
    text = "\n".join((folder / name).read_text(encoding="utf-8") for name in ("common.sql", f"{dialect}.sql"))
    return aiosql.from_str(text, driver)
