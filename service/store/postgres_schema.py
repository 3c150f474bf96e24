"""The schema in PostgreSQL: migrations under a lock, in one transaction, however many processes start together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from service.store.migrate import Migration, compare_history, foreign, migrations

_LOCK = 7_305_804_001  # any number that is the same in every release; held until the transaction ends

_LEDGER = """CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"""


def upgrade_postgres(connection: psycopg.Connection[Any], known: Sequence[Migration] | None = None) -> list[str]:
    """Bring a database up to date; the names of what was applied.

    Raises StoreTooNew for a database a newer release wrote, StoreUnavailable for one whose history is not ours.
    """
    known = migrations("postgres") if known is None else known
    if not missing_migrations(connection, known):
        return []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        fresh = missing_migrations(connection, known)
        connection.execute(_LEDGER)
        for migration in fresh:
            connection.execute(migration.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name, checksum) VALUES (%s, %s, %s)",
                [migration.number, migration.name, migration.checksum],
            )
    return [migration.name for migration in fresh]


def missing_migrations(
    connection: psycopg.Connection[Any], known: Sequence[Migration] | None = None
) -> list[Migration]:
    """What has still to be applied to a database; raises StoreTooNew or StoreUnavailable as `upgrade_postgres` does."""
    known = migrations("postgres") if known is None else known
    tables = {
        row[0]
        for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false))")
    }
    if tables and "schema_migrations" not in tables:
        raise foreign("it has tables, and none that says which migrations made them")
    if not tables:
        return list(known)
    rows = connection.execute("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
    applied = {number: (name, checksum) for number, name, checksum in rows}
    compare_history(applied, known)
    return [migration for migration in known if migration.number not in applied]
