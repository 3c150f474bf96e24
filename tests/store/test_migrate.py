"""Migrations: once, in order, and only on databases whose history is ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.domain.errors import StoreTooNew, StoreUnavailable
from service.store.migrate import Migration, migrations, missing_migrations, upgrade_sqlite
from service.store.sqlite import SqliteEngine

ONE = Migration(
    1,
    "0001_one.sql",
    "CREATE TABLE one (a TEXT DEFAULT ';');\n-- a comment; with a semicolon\nCREATE INDEX i ON one (a);\n",
)
TWO = Migration(2, "0002_two.sql", "ALTER TABLE one ADD COLUMN b TEXT;\nUPDATE one SET b = a;\n")
BAD = Migration(3, "0003_bad.sql", "CREATE TABLE three (a);\nCREATE TABLE one (a);\n")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        yield opened


def objects(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}


def test_each_is_applied_once_and_in_order(connection: sqlite3.Connection) -> None:
    assert upgrade_sqlite(connection, [ONE]) == ["0001_one.sql"]
    connection.execute("INSERT INTO one DEFAULT VALUES")
    assert upgrade_sqlite(connection, [ONE, TWO]) == ["0002_two.sql"]
    assert upgrade_sqlite(connection, [ONE, TWO]) == []
    assert connection.execute("SELECT a, b FROM one").fetchall() == [(";", ";")]
    assert objects(connection) == {"one", "i", "schema_migrations"}
    assert not connection.in_transaction


def test_one_that_fails_takes_the_others_back(connection: sqlite3.Connection) -> None:
    upgrade_sqlite(connection, [ONE])
    before = objects(connection)
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        upgrade_sqlite(connection, [ONE, TWO, BAD])
    assert objects(connection) == before
    assert not connection.in_transaction
    assert upgrade_sqlite(connection, [ONE, TWO]) == ["0002_two.sql"]


def test_a_full_disk_leaves_what_was(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA max_page_count=2")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        upgrade_sqlite(connection, [ONE])
    assert objects(connection) == set()
    assert not connection.in_transaction


def test_an_error_that_rolls_back_by_itself_is_told_as_it_is(connection: sqlite3.Connection) -> None:
    sql = "CREATE TABLE four (a UNIQUE);\nINSERT OR ROLLBACK INTO four VALUES (1), (1);\n"
    with pytest.raises(sqlite3.IntegrityError):
        upgrade_sqlite(connection, [ONE, Migration(2, "0002_four.sql", sql)])
    assert objects(connection) == set()


def test_a_newer_database_is_refused(connection: sqlite3.Connection) -> None:
    upgrade_sqlite(connection, [ONE, TWO])
    for look in (upgrade_sqlite, missing_migrations):
        with pytest.raises(StoreTooNew, match=r"newer release \(0002_two\.sql; this one knows up to 0001\)"):
            look(connection, [ONE])


def test_what_an_older_database_lacks(connection: sqlite3.Connection) -> None:
    assert missing_migrations(connection, [ONE, TWO]) == [ONE, TWO]
    upgrade_sqlite(connection, [ONE])
    assert missing_migrations(connection, [ONE, TWO]) == [TWO]
    upgrade_sqlite(connection, [ONE, TWO])
    assert missing_migrations(connection, [ONE, TWO]) == []


@pytest.mark.parametrize("sql", ["CREATE TABLE theirs (a)", None], ids=["another application", "another history"])
def test_a_database_of_somebody_else_is_left_alone(connection: sqlite3.Connection, sql: str | None) -> None:
    if sql is None:
        upgrade_sqlite(connection, [Migration(1, "0001_other.sql", "CREATE TABLE theirs (a);\n")])
    else:
        connection.execute(sql)
    before = objects(connection)
    with pytest.raises(StoreUnavailable, match="not a database of vercel-image-relay") as caught:
        upgrade_sqlite(connection, [ONE])
    assert caught.value.reason == "store_foreign"
    assert objects(connection) == before


def test_what_ships_is_numbered_without_gaps_and_all_of_it_applies(connection: sqlite3.Connection) -> None:
    shipped = migrations("sqlite")
    assert [migration.number for migration in shipped] == list(range(1, len(shipped) + 1))
    assert upgrade_sqlite(connection) == [migration.name for migration in shipped]
    assert missing_migrations(connection) == []
    tables = {"receipts", "purges", "receipt_purges", "attempts", "assets", "tokens", "holds", "quotas"}
    assert tables < objects(connection)


def test_what_the_first_release_remembered_stays(connection: sqlite3.Connection) -> None:
    upgrade_sqlite(connection, migrations("sqlite")[:1])
    connection.execute("""INSERT INTO assets VALUES ('cms', '', 'a1', '["u"]', '[]', NULL, 5, 0, 9)""")
    upgrade_sqlite(connection)
    (row,) = connection.execute("SELECT urls, occurred_at, sequence FROM assets")
    assert row == ('["u"]', 5, None)


async def test_a_server_does_not_start_on_a_newer_store(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    engine = await SqliteEngine.open(path)
    assert list(engine.applied) == [migration.name for migration in migrations("sqlite")]
    await engine.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, '9999_later.sql', '', '')")
    for upgrade in (True, False):
        with pytest.raises(StoreTooNew, match=r"9999_later\.sql"):
            await SqliteEngine.open(path, upgrade=upgrade)


async def test_an_older_store_is_upgraded_by_the_server_and_refused_by_a_command(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    path.touch()
    with pytest.raises(StoreUnavailable, match=r"lacks 0001_initial\.sql.*: `image-relay db upgrade`") as caught:
        await SqliteEngine.open(path, upgrade=False)
    assert caught.value.reason == "store_outdated"
    await (await SqliteEngine.open(path)).close()
    await (await SqliteEngine.open(path, upgrade=False)).close()


async def test_a_file_of_another_application_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE photos (a)")
    before = path.read_bytes()
    for upgrade in (True, False):
        with pytest.raises(StoreUnavailable, match="not a database of vercel-image-relay"):
            await SqliteEngine.open(path, upgrade=upgrade)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["photos.db"]
