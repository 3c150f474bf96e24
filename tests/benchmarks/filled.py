"""A store that has been in use for long: its one genuine receipt, purge and asset, many times over, by SQL alone."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg

# What differs from copy to copy, as SQL over the number {n}; every other column is the genuine row's. The
# first 14 characters of an id are its time, by which retention judges what may go.
_COPIES = {
    "receipts": {"id": "substr(id, 1, 14) || {tail}", "dedupe": "{digest}"},
    "purges": {
        "id": "substr(id, 1, 14) || {tail}",
        "state": "'done'",
        "src_image": "src_image || {n}",
        "finished_at": "created_at",
        "attempts": "1",
    },
    "receipt_purges": {
        "receipt_id": "substr(receipt_id, 1, 14) || {tail}",
        "purge_id": "substr(purge_id, 1, 14) || {tail}",
    },
    "assets": {"asset_id": "asset_id || {n}"},
}
_SQLITE = {
    "n": "n",
    "digest": "CAST(printf('msg_%012d%s', n, hex(randomblob(8))) AS BLOB)",
    "tail": "printf('%016d', n)",
}
_POSTGRES = {
    "n": "n",
    "digest": "convert_to('msg_' || lpad(n::text, 12, '0'), 'UTF8') || decode(md5(n::text), 'hex')",
    "tail": "lpad(n::text, 16, '0')",
}
_NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"
_AT_ONCE = 500_000  # rows of one transaction: SQLite keeps all of a statement's changes in memory


def fill_sqlite(path: Path, count: int) -> None:
    """No other process may have the store open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for line in ("synchronous = OFF", "cache_size = -500000", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {line}")
        for table in _COPIES:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            insert = _insert(table, columns, "numbers", _SQLITE)
            for first in range(1, count + 1, _AT_ONCE):
                last = min(first + _AT_ONCE - 1, count)
                connection.execute(_NUMBERS.format(first=first, last=last) + insert)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert connection.execute("SELECT count(*) FROM receipts").fetchone() == (count + 1,)
    with path.open("rb") as file:
        os.fsync(file.fileno())  # else the first commits that are measured wait for gigabytes of this


def fill_postgres(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for table in _COPIES:
            found = connection.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema()"
                " AND table_name = %s ORDER BY ordinal_position",
                [table],
            )
            insert = _insert(table, [row[0] for row in found], f"generate_series(1, {count}) AS numbers(n)", _POSTGRES)
            connection.execute(insert.encode())
            connection.execute(f"VACUUM ANALYZE {table}".encode())
        connection.execute("CHECKPOINT")
        assert connection.execute("SELECT count(*) FROM receipts").fetchone() == (count + 1,)


def _insert(table: str, columns: list[str], numbers: str, dialect: dict[str, str]) -> str:
    copies = _COPIES[table]
    values = ", ".join(copies.get(name, name).format(**dialect) for name in columns)
    return (  # names and expressions are this module's and the schema's
        f" INSERT INTO {table} ({', '.join(columns)})"  # noqa: S608 - our own
        f" SELECT {values} FROM (SELECT * FROM {table} LIMIT 1) AS genuine, {numbers}"
    )
