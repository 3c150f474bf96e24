"""From a SQLite store to PostgreSQL: every row, page by page, then compared; may be broken off and begun again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import sql

from service.domain.errors import CommandFailed, StoreUnavailable
from service.store.migrate import missing_migrations, outdated
from service.store.postgres import Server
from service.store.postgres_schema import upgrade_postgres

PAGE = 1000
"""Rows a transaction copies: what is broken off loses no more."""

_OWN = ("schema_migrations", "lanes")  # each database's own affair

Tell = Callable[[str, int], None]


class Table(Struct, frozen=True):
    """A table as both databases have it; `keys` are the columns of its primary key, in order."""

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]


def copy_to_postgres(source: Path, target: str, tell: Tell) -> dict[str, int]:
    """Copy all tables and compare them; the rows of each. `tell` hears of each page: the table and its rows so far.

    Rows that are there already stay. Raises CommandFailed where afterwards the two differ, StoreUnavailable.
    """
    try:
        with closing(_reader(source)) as old, Server(target).connect() as new:
            upgrade_postgres(new)
            return {table.name: _copy(table, old, new, tell) for table in _tables(old)}
    except (psycopg.Error, sqlite3.Error) as error:
        raise StoreUnavailable(f"the copy was broken off: {str(error).partition(chr(10))[0]}; run it again") from None


def _reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    if missing := missing_migrations(connection):
        connection.close()
        raise outdated(missing)
    return connection


def _tables(old: sqlite3.Connection) -> list[Table]:
    names = [name for (name,) in old.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return [_table(old, name) for name in names if name not in _OWN and not name.startswith("sqlite_")]


def _table(old: sqlite3.Connection, name: str) -> Table:
    rows = old.execute("SELECT name, pk FROM pragma_table_info(?)", [name]).fetchall()
    keys = sorted((place, column) for column, place in rows if place)
    return Table(name, tuple(column for column, _ in rows), tuple(column for _, column in keys))


def _copy(table: Table, old: sqlite3.Connection, new: psycopg.Connection[Any], tell: Tell) -> int:
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, table.columns)),
        sql.SQL(", ").join([sql.Placeholder()] * len(table.columns)),
    )
    copied = 0
    for page in _pages(table, old):
        with new.transaction(), new.cursor() as cursor:
            cursor.executemany(insert, page)
        copied += len(page)
        tell(table.name, copied)
    _compare(table, old, new)
    return copied


def _pages(table: Table, old: sqlite3.Connection) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows in the order of the key, from the one page's last on: no cursor stays open in between."""
    keys = ", ".join(table.keys)
    places = [table.columns.index(key) for key in table.keys]
    after: Sequence[Any] | None = None
    while True:
        where = "" if after is None else f"WHERE ({keys}) > ({', '.join('?' * len(places))})"
        statement = f"SELECT {', '.join(table.columns)} FROM {table.name} {where} ORDER BY {keys} LIMIT {PAGE}"  # noqa: S608 - names out of the schema
        rows = old.execute(statement, after or ()).fetchall()
        if not rows:
            return
        yield rows
        after = [rows[-1][place] for place in places]


def _compare(table: Table, old: sqlite3.Connection, new: psycopg.Connection[Any]) -> None:
    order = sql.SQL(", ").join(
        sql.SQL('{} COLLATE "C"').format(sql.Identifier(key)) if _is_text(table, key, new) else sql.Identifier(key)
        for key in table.keys
    )
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
        sql.SQL(", ").join(map(sql.Identifier, table.columns)), sql.Identifier(table.name), order
    )
    with new.transaction(), psycopg.ServerCursor(new, "compared") as cursor:
        cursor.itersize = PAGE
        cursor.execute(statement)
        kept = (row for page in _pages(table, old) for row in page)
        for wanted, found in zip_longest(kept, cursor):
            if wanted is None or found is None or _plain(wanted) != tuple(found):
                raise CommandFailed(
                    f"{table.name} differs after the copy: stop every relay on either store, and copy into a "
                    "database that holds nothing else"
                )


def _is_text(table: Table, key: str, new: psycopg.Connection[Any]) -> bool:
    row = new.execute(
        "SELECT data_type FROM information_schema.columns "
        "WHERE table_schema = ANY (current_schemas(false)) AND table_name = %s AND column_name = %s",
        [table.name, key],
    ).fetchone()
    return row is not None and row[0] == "text"


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as PostgreSQL keeps it: its text holds no NUL."""
    return tuple(value.replace("\0", "\u2400") if isinstance(value, str) else value for value in row)
