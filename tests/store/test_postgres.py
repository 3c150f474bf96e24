"""PostgreSQL in every kind of trouble: it says so, keeps what it acknowledged, and recovers by itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest
from support.stored import Rules, accept, event, receipt, wanted

from service.domain.errors import StoreTooNew, StoreUnavailable
from service.store.engine import Tx
from service.store.inbox import Inbox
from service.store.migrate import Migration
from service.store.postgres import PostgresEngine, Server
from service.store.postgres_schema import upgrade_postgres

NOWHERE = "postgresql://relay:fake-database-password@127.0.0.1:1/relay"


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
async def engine(url: str) -> AsyncIterator[PostgresEngine]:
    opened = await PostgresEngine.open(url)
    yield opened
    await opened.close()


def note(name: str) -> Callable[[Tx], int]:
    """A job that leaves one row."""
    return lambda tx: tx.run("put_quota", credential=name, until=1)


def notes(tx: Tx) -> list[str]:
    return sorted(row["credential"] for row in tx.all("list_quotas", now=0))


def disconnected(url: str) -> None:
    """What a restart or a failover of the server does to every connection but this one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND application_name = 'vercel-image-relay'"
        )


async def test_a_commit_is_on_disk_whatever_the_server_s_default_is(url: str) -> None:
    lax = f"{url}%20-csynchronous_commit%3Doff"
    with psycopg.connect(lax, autocommit=True) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)
    engine = await PostgresEngine.open(lax)
    found = await engine.write(lambda tx: tx.connection.execute("SHOW synchronous_commit").fetchone()[0])
    await engine.close()
    assert found == "on"


async def test_a_process_frozen_in_a_transaction_keeps_nothing_locked_for_long(
    url: str, engine: PostgresEngine
) -> None:
    other, locked, thawed = await PostgresEngine.open(url), threading.Event(), threading.Event()

    def frozen(tx: Tx) -> int:
        tx.lock([("an asset",)])
        locked.set()
        thawed.wait(60)
        return tx.run("put_quota", credential="frozen", until=1)

    def waiting(tx: Tx) -> int:
        # Longer than usual: until the server has had enough of the other one.
        tx.connection.execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = '30s'")
        tx.connection.patience = None
        tx.lock([("an asset",)])
        return tx.run("put_quota", credential="next", until=1)

    first = asyncio.ensure_future(engine.write(frozen))
    await asyncio.to_thread(locked.wait, 30)
    assert await other.write(waiting) == 1
    thawed.set()
    with pytest.raises(StoreUnavailable):
        await first
    assert await engine.read(notes) == ["next"]
    assert await engine.write(note("afterwards")) == 1
    await other.close()


async def test_what_waits_together_is_committed_together(engine: PostgresEngine) -> None:
    before = engine.stats.commits
    assert await asyncio.gather(*(engine.write(note(f"n{number}")) for number in range(50))) == [1] * 50
    assert engine.stats.commits - before <= 2
    assert len(await engine.read(notes)) == 50


async def test_a_job_s_own_error_is_nobody_else_s(engine: PostgresEngine) -> None:
    def broken(tx: Tx) -> None:
        tx.run("put_quota", credential="gone", until=1)
        tx.connection.execute("SELECT no_such_column FROM quotas")

    def raising(_: Tx) -> None:
        raise ZeroDivisionError("a bug of ours")

    results = await asyncio.gather(
        engine.write(note("one")), engine.write(broken), engine.write(raising), engine.write(note("two")),
        return_exceptions=True,
    )  # fmt: skip
    assert (results[0], results[3]) == (1, 1)
    assert isinstance(results[1], psycopg.ProgrammingError)
    assert isinstance(results[2], ZeroDivisionError)
    assert await engine.read(notes) == ["one", "two"]


async def test_a_reading_job_cannot_write(engine: PostgresEngine) -> None:
    with pytest.raises(StoreUnavailable, match="read-only transaction"):
        await engine.read(note("n"))
    assert await engine.read(notes) == []


async def test_a_server_that_was_restarted_is_connected_to_again(engine: PostgresEngine, url: str) -> None:
    await engine.write(note("before"))
    await engine.read(notes)
    disconnected(url)
    assert await engine.write(note("after")) == 1
    assert await engine.read(notes) == ["after", "before"]


async def test_a_connection_lost_within_a_transaction_acknowledges_nothing(engine: PostgresEngine, url: str) -> None:
    def lost(tx: Tx) -> None:
        tx.run("put_quota", credential="lost", until=1)
        disconnected(url)
        note("more")(tx)

    with pytest.raises(StoreUnavailable, match="cannot commit"):
        await engine.write(lost)
    assert await engine.write(note("after")) == 1
    assert await engine.read(notes) == ["after"]


async def test_two_processes_in_each_other_s_way_both_get_there(engine: PostgresEngine, url: str) -> None:
    """Each takes the other's row second; the database ends one of the two, and it begins again."""
    other = await PostgresEngine.open(url)
    await engine.write(lambda tx: [note(name)(tx) for name in "ab"])

    def crossing(first: str, second: str, offset: int) -> Callable[[Tx], Any]:
        def job(tx: Tx) -> None:
            for step, name in enumerate((first, second)):
                tx.run("put_quota", credential=name, until=offset + step)
                tx.connection.execute("SELECT pg_sleep(0.1)")

        return job

    for round_number in range(2, 5):
        offset = round_number * 10
        await asyncio.gather(engine.write(crossing("a", "b", offset)), other.write(crossing("b", "a", offset + 5)))
    await other.close()
    assert engine.stats.failures + other.stats.failures >= 1, "they were in each other's way"


async def test_many_processes_that_start_together_upgrade_once(url: str) -> None:
    engines = await asyncio.gather(*(PostgresEngine.open(url) for _ in range(8)))
    assert sum(len(engine.applied) > 0 for engine in engines) == 1
    await asyncio.gather(*(engine.write(note(f"n{number}")) for number, engine in enumerate(engines)))
    assert len(await engines[0].read(notes)) == 8
    await asyncio.gather(*(engine.close() for engine in engines))


async def test_the_same_event_at_two_processes_is_stored_once(engine: PostgresEngine, url: str) -> None:
    other = await PostgresEngine.open(url)
    stored = await asyncio.gather(
        *(
            accept(Inbox(one), receipt("e1", id=f"rcp_{n}"), [event()], Rules(wanted()))
            for n in range(10)
            for one in (engine, other)
        )
    )
    await other.close()
    assert sorted({one.status.value for one in stored}) == ["accepted", "duplicate"]
    assert len({one.id for one in stored}) == 1


async def test_a_store_that_is_not_up_to_date_is_left_alone_by_a_command(url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"lacks 0001_initial\.sql, .*: `image-relay db upgrade`"):
        await PostgresEngine.open(url, upgrade=False)
    await (await PostgresEngine.open(url)).close()
    await (await PostgresEngine.open(url, upgrade=False)).close()


async def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot open the store at 127\.0\.0\.1/relay: .*refused") as caught:
        await PostgresEngine.open(NOWHERE)
    assert "fake-database-password" not in str(caught.value)


async def test_a_process_hears_what_another_took_in_that_is_due_at_once(engine: PostgresEngine, url: str) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    engine.listen(heard.put_nowait)
    other = await PostgresEngine.open(url)
    inbox = Inbox(other)
    async with asyncio.timeout(20):
        while heard.empty():  # until it listens
            await accept(inbox, receipt(f"{time.monotonic()}"), [event()], Rules(wanted(settle=0)))
            await asyncio.sleep(0.05)
        assert await heard.get() == "shop"
        disconnected(url)
        while heard.qsize() < 2:  # and listens again
            await accept(inbox, receipt(f"{time.monotonic()}"), [event()], Rules(wanted(settle=0)))
            await asyncio.sleep(0.1)
    while not heard.empty():
        heard.get_nowait()
    await accept(inbox, receipt("settles"), [event()], Rules(wanted(settle=5)))
    await asyncio.sleep(0.2)
    assert heard.empty(), "a look finds it in time"
    await other.close()


async def test_after_the_end_nothing_is_taken(url: str) -> None:
    engine = await PostgresEngine.open(url)
    writing = asyncio.ensure_future(engine.write(note("last")))
    await asyncio.sleep(0)
    await engine.close()
    await engine.close()
    assert await writing == 1
    for work in (engine.write(note("n")), engine.read(notes)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await work


ONE = Migration(1, "0001_one.sql", "CREATE TABLE one (a TEXT DEFAULT '%s;');\n")
BAD = Migration(2, "0002_bad.sql", "CREATE TABLE two (a TEXT); CREATE TABLE one (a TEXT);")


def test_migrations_are_all_or_none_and_of_this_history_alone(url: str) -> None:
    with Server(url).connect() as connection:
        assert upgrade_postgres(connection, [ONE]) == ["0001_one.sql"]
        assert upgrade_postgres(connection, [ONE]) == []
        with pytest.raises(psycopg.errors.DuplicateTable):
            upgrade_postgres(connection, [ONE, BAD])
        assert connection.execute("SELECT to_regclass('two')").fetchone() == (None,)
        with pytest.raises(StoreTooNew):
            upgrade_postgres(connection, [])
        changed = Migration(1, "0001_one.sql", "CREATE TABLE other (a TEXT)")
        with pytest.raises(StoreUnavailable, match=r"is not the 0001_one\.sql of this release"):
            upgrade_postgres(connection, [changed])
        connection.execute("DROP TABLE schema_migrations")
        with pytest.raises(StoreUnavailable, match="it has tables, and none that says"):
            upgrade_postgres(connection, [ONE])
