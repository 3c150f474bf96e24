"""Numbered migrations: each applied once, in order, in one transaction, and known by its checksum ever after."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from importlib.resources import files

from msgspec import Struct

from service.domain.errors import StoreTooNew, StoreUnavailable


class Migration(Struct, frozen=True):
    """`0001_initial.sql`: its number, name, text, and the SHA-256 of the text."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(dialect: str) -> list[Migration]:
    """Those that ship with this release, by number."""
    folder = files("service.store") / "migrations" / dialect
    return sorted(
        (
            Migration(int(entry.name[:4]), entry.name, entry.read_text(encoding="utf-8"))
            for entry in folder.iterdir()
            if entry.name.endswith(".sql")
        ),
        key=lambda migration: migration.number,
    )


_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL)"""


def upgrade_sqlite(connection: sqlite3.Connection, known: Sequence[Migration] | None = None) -> list[str]:
    """Bring a SQLite database up to date; the names of what was applied.

    The whole of it is one immediate transaction, so of two processes that start at once one waits and finds it done.
    Raises StoreTooNew for a database a newer release wrote, StoreUnavailable for one whose history is not ours.
    """
    known = migrations("sqlite") if known is None else known
    connection.execute("BEGIN IMMEDIATE")
    try:
        fresh = missing_migrations(connection, known)
        connection.execute(_LEDGER)
        for migration in fresh:
            for statement in _statements(migration.sql):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_migrations VALUES (?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ'))",
                (migration.number, migration.name, migration.checksum),
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled it back already
            connection.execute("ROLLBACK")
        raise
    return [migration.name for migration in fresh]


def missing_migrations(connection: sqlite3.Connection, known: Sequence[Migration] | None = None) -> list[Migration]:
    """What has still to be applied to a database; raises StoreTooNew or StoreUnavailable as `upgrade_sqlite` does."""
    known = migrations("sqlite") if known is None else known
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if tables and "schema_migrations" not in tables:
        raise foreign("it has tables, and none that says which migrations made them")
    if not tables:
        return list(known)
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    applied = {number: (name, checksum) for number, name, checksum in rows}
    compare_history(applied, known)
    return [migration for migration in known if migration.number not in applied]


def outdated(missing: Sequence[Migration]) -> StoreUnavailable:
    """Why a database that lacks these is not opened by a command that may not change its schema."""
    names = ", ".join(migration.name for migration in missing)
    return StoreUnavailable(
        f"the database lacks {names}: `image-relay db upgrade` brings it up to date", reason="store_outdated"
    )


def compare_history(applied: Mapping[int, tuple[str, str]], known: Sequence[Migration]) -> None:
    """Raises StoreTooNew or StoreUnavailable unless what was applied (number → name, checksum) is of this release."""
    newest = max((migration.number for migration in known), default=0)
    ahead = [name for number, (name, _) in applied.items() if number > newest]
    if ahead:
        raise StoreTooNew(
            f"the database was upgraded by a newer release ({', '.join(ahead)}; this one knows up to {newest:04d}): "
            "run that release, or restore the backup made before the upgrade"
        )
    for migration in known:
        name, checksum = applied.get(migration.number, (migration.name, migration.checksum))
        if checksum != migration.checksum:
            raise foreign(f"its {name} is not the {migration.name} of this release")


def foreign(why: str) -> StoreUnavailable:
    """What a database that is not ours is refused with."""
    return StoreUnavailable(
        f"this is not a database of vercel-image-relay: {why}; name another file", reason="store_foreign"
    )


def _statements(sql: str) -> list[str]:
    """A migration's statements, one by one: `executescript` would commit our transaction."""
    statements, current = [], ""
    for line in sql.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
