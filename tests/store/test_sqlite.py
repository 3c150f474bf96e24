"""The engine in every kind of trouble: it says so, keeps what it acknowledged, and recovers by itself."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.stored import NOW, Rules, accept, at, event, receipt
from support.told import logged

import service.store.group_writer
import service.store.sqlite
import service.store.sqlite_file
from service.domain.errors import StoreUnavailable
from service.store.checkpoints import CHANGES
from service.store.engine import Tx
from service.store.inbox import Inbox
from service.store.sqlite import SqliteEngine, _Writer
from service.store.sqlite_file import DatabaseFile


def note(name: str) -> Callable[[Tx], int]:
    """A job that leaves one row."""
    return lambda tx: tx.run("put_quota", credential=name, until=1)


def notes(tx: Tx) -> list[str]:
    return sorted(row["credential"] for row in tx.all("list_quotas", now=0))


def large(name: str) -> Callable[[Tx], int]:
    """A job that needs 200 pages."""
    return note(name + "x" * 800_000)


class Gate:
    """A job that holds the writer up until it is opened, so that others come to wait behind it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _: Tx) -> None:
        self.reached.set()
        assert self.opened.wait(10)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process's long transaction, as far as SQLite can tell."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def together(engine: SqliteEngine, *jobs: Callable[[Tx], Any]) -> list[Any]:
    """The results or errors of jobs that waited together."""
    gate = Gate()
    first = asyncio.ensure_future(engine.write(gate))
    await asyncio.to_thread(gate.reached.wait, 10)
    tasks = [asyncio.ensure_future(engine.write(job)) for job in jobs]
    await asyncio.sleep(0)
    gate.opened.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


# -- the ordinary


async def test_what_waits_together_is_committed_together(engine: SqliteEngine) -> None:
    before = engine.stats.commits
    assert await together(engine, *(note(f"n{number:02}") for number in range(50))) == [1] * 50
    assert engine.stats.commits == before + 2
    assert (engine.stats.jobs, engine.stats.failures, engine.stats.waiting) == (51, 0, 0)
    assert len(await engine.read(notes)) == 50


async def test_a_group_is_bounded(engine: SqliteEngine) -> None:
    before = engine.stats.commits
    await together(engine, *(note(f"n{number}") for number in range(300)))
    assert engine.stats.commits == before + 4


async def test_everything_is_as_durability_wants_it(engine: SqliteEngine) -> None:
    def pragmas(tx: Tx) -> list[Any]:
        names = ("journal_mode", "synchronous", "wal_autocheckpoint", "journal_size_limit", "query_only", "temp_store")
        return [tx.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await engine.write(pragmas) == ["wal", 2, 4000, 64 * 1024 * 1024, 0, 2]
    assert (await engine.read(pragmas))[4] == 1


async def test_a_reading_job_cannot_write(engine: SqliteEngine) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await engine.read(note("n"))


async def test_the_files_are_their_owners(engine: SqliteEngine, path: Path) -> None:
    await engine.write(note("n"))
    engine.try_lead()
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("relay.db", "relay.db-wal", "relay.db-shm", "relay.db.dispatch"), 0o600)


async def test_the_mode_an_operator_chose_stays(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    await (await SqliteEngine.open(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_a_folder_is_made(tmp_path: Path) -> None:
    engine = await SqliteEngine.open(tmp_path / "a b" / "%3f?#" / "relay.db")
    await engine.write(note("n"))
    await engine.close()
    assert [file.name for file in (tmp_path / "a b" / "%3f?#").iterdir()] == ["relay.db"]


async def test_a_long_read_keeps_no_writer_waiting_and_the_log_is_taken_in_afterwards(
    engine: SqliteEngine, path: Path
) -> None:
    gate = Gate()

    def slow(tx: Tx) -> int:
        rows = tx.connection.execute("SELECT number FROM schema_migrations UNION ALL SELECT 0")
        next(rows)
        gate(tx)
        return len(list(rows))

    reading = asyncio.create_task(engine.read(slow))
    await asyncio.to_thread(gate.reached.wait, 10)
    for number in range(10):
        await engine.write(large(f"n{number}"))
    wal = path.with_name("relay.db-wal")
    grown = wal.stat().st_size
    assert grown > 8_000_000
    gate.opened.set()
    await reading
    for number in range(10):
        await engine.write(large(f"n{number}"))
    assert wal.stat().st_size < grown * 1.5  # begun anew, in place of growing on


# -- the log


def rows(number: int, of: str) -> Callable[[Tx], None]:
    """A job that writes so many rows."""

    def job(tx: Tx) -> None:
        for each in range(number):
            tx.run("put_quota", credential=f"{of}-{each}" + "x" * 200, until=1)

    return job


def checkpointing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "relay-store-checkpoint"]


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not met():  # what another thread does: there is nothing to wait on
            await asyncio.sleep(0.01)


async def test_the_log_is_brought_in_beside_the_writer(engine: SqliteEngine, path: Path) -> None:
    before = path.stat().st_size
    await engine.write(rows(CHANGES - 1, "a"))
    assert not checkpointing()
    assert path.stat().st_size == before  # far fewer pages than SQLite itself would bring in
    await engine.write(rows(1, "b"))
    await until(lambda: path.stat().st_size > before + CHANGES * 200)
    grown = path.stat().st_size
    await engine.write(rows(CHANGES, "c"))
    await until(lambda: path.stat().st_size > grown)
    assert len(checkpointing()) == 1
    await engine.close()
    assert not checkpointing()


async def test_the_log_ends_however_long_a_load_lasts(engine: SqliteEngine, path: Path) -> None:
    for number in range(60):
        await engine.write(rows(CHANGES, f"n{number}"))
    written = 60 * CHANGES * 200
    assert path.with_name("relay.db-wal").stat().st_size < written / 1.2 < path.stat().st_size


async def test_a_log_that_cannot_be_brought_in_is_told_of_and_tried_again(
    engine: SqliteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: DatabaseFile, *, read_only: bool = False) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    await engine.write(note("n"))
    before = path.stat().st_size
    with logged() as told, monkeypatch.context() as broken:
        broken.setattr(DatabaseFile, "connect", no_more)
        await engine.write(rows(CHANGES, "a"))
        await until(lambda: bool(told))
    assert [(line["event"], line["error"]) for line in told] == [("store.log_kept", "disk I/O error")]
    assert path.stat().st_size == before
    await engine.write(rows(CHANGES, "b"))
    await until(lambda: path.stat().st_size > before)


async def test_no_thread_for_the_log_is_no_failure_of_what_is_committed(
    engine: SqliteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    before = path.stat().st_size
    with logged() as told, monkeypatch.context() as broken:
        broken.setattr(threading.Thread, "start", no_more)
        await engine.write(rows(CHANGES, "a"))
        await until(lambda: bool(told))
    assert [(line["event"], line["error"]) for line in told] == [("store.log_kept", "can't start new thread")]
    assert len(await engine.read(notes)) == CHANGES
    await engine.write(rows(CHANGES, "b"))
    await until(lambda: path.stat().st_size > before)


# -- jobs that fail


class Broken(Exception):
    pass


def broken(_: Tx) -> None:
    raise Broken


def constraint(tx: Tx) -> None:
    tx.connection.execute("INSERT INTO quotas (credential, blocked_until) VALUES ('n', NULL)")


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (broken, Broken),
        (constraint, sqlite3.IntegrityError),
        (note("\ud800"), UnicodeEncodeError),
        (lambda tx: tx.run("put_quota", credential="n"), sqlite3.ProgrammingError),
        (lambda tx: tx.run("put_quota", credential=object(), until=1), sqlite3.ProgrammingError),
        (lambda tx: tx.run("no_such_statement"), KeyError),
    ],
)
async def test_a_jobs_own_error_is_nobody_elses(
    engine: SqliteEngine, job: Callable[[Tx], Any], error: type[Exception]
) -> None:
    def half(tx: Tx) -> None:
        note("half")(tx)
        job(tx)

    results = await together(engine, note("a"), half, note("b"), half, note("c"))
    assert [type(one) for one in results] == [int, error, int, error, int]
    assert await engine.read(notes) == ["a", "b", "c"]
    assert engine.stats.failures == 0
    with pytest.raises(error):
        await engine.write(half)


async def test_a_connection_that_is_beyond_help_is_replaced(engine: SqliteEngine) -> None:
    with pytest.raises(sqlite3.ProgrammingError):
        await engine.write(lambda tx: (tx.connection.close(), tx.run("prune_quotas", now=0)))
    assert await engine.write(note("n")) == 1


async def test_a_request_that_went_away_is_stored_nevertheless(engine: SqliteEngine) -> None:
    gate = Gate()
    first = asyncio.ensure_future(engine.write(gate))
    await asyncio.to_thread(gate.reached.wait, 10)
    gone = asyncio.ensure_future(engine.write(note("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    gate.opened.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await gone
    await engine.write(note("next"))
    assert await engine.read(notes) == ["gone", "next"]


async def test_more_than_may_wait_is_told_to_come_back(engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.store.group_writer, "WAITING", 3)
    results = await together(engine, *(note(f"n{number}") for number in range(4)))
    assert [type(one) for one in results] == [int, int, StoreUnavailable, StoreUnavailable]
    assert await engine.write(note("later")) == 1


# -- the disk


async def test_a_full_database_fails_what_does_not_fit_and_recovers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_durable = service.store.sqlite_file._make_durable

    def limited(connection: sqlite3.Connection) -> None:
        make_durable(connection)
        connection.execute("PRAGMA max_page_count=60")

    monkeypatch.setattr(service.store.sqlite_file, "_make_durable", limited)
    engine = await SqliteEngine.open(path)
    results = await together(engine, note("small"), large("big"), note("tiny"))
    assert isinstance(results[1], StoreUnavailable)
    assert "full" in str(results[1])
    assert (results[0], results[2]) == (1, 1)
    assert engine.stats.failures == 2  # together, and then alone
    await engine.write(lambda tx: tx.connection.execute("PRAGMA max_page_count=10000").fetchone())
    assert await engine.write(large("again")) == 1
    assert len(await engine.read(notes)) == 3
    await engine.close()


@pytest.fixture
def no_room(path: Path) -> Iterator[Callable[[], None]]:
    """No file of this process may grow beyond the size of the database's largest; undone by calling it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(file.stat().st_size for file in path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_unavailable_and_heals(engine: SqliteEngine, no_room: Callable[[], None]) -> None:
    results = await together(engine, *(large(f"n{number}") for number in range(5)))
    failed = [one for one in results if isinstance(one, StoreUnavailable)]
    assert failed
    kept = await engine.read(notes)
    assert len(kept) == 5 - len(failed)
    no_room()
    assert await together(engine, *(large(f"m{number}") for number in range(5))) == [1] * 5
    assert len(await engine.read(notes)) == len(kept) + 5


async def test_what_is_acknowledged_on_a_filling_disk_is_there_after_a_restart(
    engine: SqliteEngine, path: Path, no_room: Callable[[], None]
) -> None:
    inbox = Inbox(engine)
    acked: list[str] = []
    failures = 0
    while failures < 3:
        new = receipt(now=at(len(acked)), body=os.urandom(20_000))
        try:
            acked.append((await accept(inbox, new, [event("/a.png")], Rules())).id)
        except StoreUnavailable:
            failures += 1
    no_room()
    acked.append((await accept(inbox, receipt(), [event("/b.png")], Rules())).id)
    await engine.close()
    again = await SqliteEngine.open(path)
    assert {one.id for one in await Inbox(again).list(limit=10_000)} == set(acked)
    await again.close()


async def test_a_database_that_is_deleted_takes_no_more_webhooks(engine: SqliteEngine, path: Path) -> None:
    """SQLite would go on committing to a file that nobody can find again."""
    await engine.write(note("before"))
    away = path.with_name("away.db")
    path.rename(away)
    with pytest.raises(StoreUnavailable, match="deleted, moved or replaced"):
        await engine.write(note("lost"))
    with pytest.raises(StoreUnavailable, match="deleted, moved or replaced"):
        await engine.read(notes)
    assert not path.exists()
    away.rename(path)
    assert await engine.write(note("after")) == 1
    assert await engine.read(notes) == ["after", "before"]


async def test_a_database_that_goes_while_jobs_are_tried_one_by_one_fails_the_rest(
    engine: SqliteEngine, path: Path
) -> None:
    def lost(_: Tx) -> None:
        path.rename(path.with_name("away.db"))
        raise sqlite3.OperationalError("disk I/O error")

    results = await together(engine, note("a"), lost, note("b"))
    assert {type(one) for one in results} == {StoreUnavailable}
    path.with_name("away.db").rename(path)
    assert await engine.read(notes) == []


async def test_another_database_in_its_place_takes_a_restart(engine: SqliteEngine, path: Path) -> None:
    """Its log is still that of the one before, and so is the memory that readers share: SQLite dies of that."""
    await engine.write(note("before"))
    await engine.read(notes)
    other = path.with_name("other.db")
    shutil.copy(path, other)
    other.replace(path)
    for _ in range(2):
        for work in (engine.write(note("lost")), engine.read(notes)):
            with pytest.raises(StoreUnavailable, match="restart the relay"):
                await work


async def test_a_read_only_store_is_unavailable_and_heals(engine: SqliteEngine, path: Path) -> None:
    await engine.write(note("before"))
    with unwritable(path):
        for work in (engine.write(note("lost")), engine.write(note("lost")), engine.read(notes)):
            with pytest.raises(StoreUnavailable, match="cannot be written"):
                await work
    assert await engine.write(note("after")) == 1
    assert await engine.read(notes) == ["after", "before"]


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Read-only as root sees it, too, and through files that are open."""
    files = [str(file) for file in path.parent.glob("relay.db*")]
    commands = (["chattr", "+i"], ["chattr", "-i"]) if os.geteuid() == 0 else (["chmod", "a-w"], ["chmod", "u+w"])
    if subprocess.run([*commands[0], *files], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no attributes, and root may write whatever the mode")
    try:
        yield
    finally:
        subprocess.run([*commands[1], *files], check=True)


async def test_a_reader_that_cannot_connect_says_so_and_heals(
    engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", too_many)
        with pytest.raises(StoreUnavailable, match="cannot be read: unable to open"):
            await engine.read(notes)
    assert await engine.read(notes) == []


# -- other processes


async def test_a_lock_held_for_too_long_fails_all_who_wait_at_once_and_heals(
    engine: SqliteEngine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.write(lambda tx: tx.connection.execute("PRAGMA busy_timeout=50"))
    monkeypatch.setattr(service.store.group_writer, "GROUP", 2)
    with held(path):
        results = await asyncio.gather(
            *(engine.write(note(f"n{number}")) for number in range(20)), return_exceptions=True
        )
        assert {type(one) for one in results} == {StoreUnavailable}
        assert "locked" in str(results[0])
        assert engine.stats.failures <= 2
    assert await engine.write(note("after")) == 1


async def test_a_lock_held_for_a_moment_is_waited_for(engine: SqliteEngine, path: Path) -> None:
    with held(path):
        writing = asyncio.ensure_future(engine.write(note("n")))
        done, _ = await asyncio.wait({writing}, timeout=0.1)
        assert not done
    assert await writing == 1


async def test_a_command_line_beside_the_server_sees_and_changes_the_same(engine: SqliteEngine, path: Path) -> None:
    await engine.write(note("server"))
    beside = await SqliteEngine.open(path, upgrade=False)
    assert await beside.read(notes) == ["server"]
    await asyncio.gather(
        *(one.write(note(f"{name}{n}")) for n in range(30) for one, name in ((engine, "s"), (beside, "c")))
    )
    assert len(await engine.read(notes)) == 61
    await beside.close()
    assert len(await engine.read(notes)) == 61


async def test_one_leads_at_a_time(engine: SqliteEngine, path: Path) -> None:
    other = await SqliteEngine.open(path)
    assert engine.try_lead()
    assert engine.try_lead()
    assert not other.try_lead()
    await engine.close()
    assert other.try_lead()
    await other.close()


async def test_a_lock_file_that_cannot_be_made_says_so(engine: SqliteEngine, path: Path) -> None:
    path.with_name("relay.db.dispatch").mkdir()
    with pytest.raises(StoreUnavailable, match="lock file"):
        engine.try_lead()


# -- opening and closing


@pytest.mark.parametrize("upgrade", [True, False])
async def test_what_is_no_database_says_so(path: Path, upgrade: bool) -> None:
    path.write_bytes(b"something else altogether" * 100)
    with pytest.raises(StoreUnavailable, match=r"cannot open the store .*relay\.db: file is not a database"):
        await SqliteEngine.open(path, upgrade=upgrade)
    assert path.read_bytes().startswith(b"something else")


async def test_a_store_that_is_not_there_is_not_made_without_upgrade(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"no store .*: `image-relay db upgrade` makes it"):
        await SqliteEngine.open(path, upgrade=False)
    assert not path.exists()


async def test_a_folder_that_cannot_be_made_says_what_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="check the folder's owner"):
        await SqliteEngine.open(tmp_path / "file" / "relay.db")


async def test_a_file_system_without_shared_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.store.sqlite_file, "_write_ahead", lambda _: "delete")
    with pytest.raises(StoreUnavailable, match="local disk"):
        await SqliteEngine.open(path)


async def test_the_first_switch_to_wal_waits_for_its_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = service.store.sqlite_file.DatabaseFile(path)
    file.create()
    with held(path):
        opening = asyncio.create_task(SqliteEngine.open(path))
        done, _ = await asyncio.wait({opening}, timeout=0.1)
        assert not done
    await (await opening).close()
    monkeypatch.setattr(service.store.sqlite_file, "BUSY_SECONDS", 0.05)
    path.unlink()
    file.create()
    with held(path), pytest.raises(StoreUnavailable, match="locked"):
        await SqliteEngine.open(path)


async def test_whoever_waits_for_another_process_says_so_first(engine: SqliteEngine, path: Path) -> None:
    told = threading.Event()
    writer = _Writer(file := DatabaseFile(path), engine._statements, engine._not_copied)
    file.remember()
    writer.begin(told.set)
    writer.roll_back()
    assert not told.is_set()
    with held(path):
        beginning = asyncio.create_task(asyncio.to_thread(writer.begin, told.set))
        assert await asyncio.to_thread(told.wait, 10)
        assert not beginning.done()
    await asyncio.wait_for(beginning, 10)
    writer.roll_back()
    writer.drop()


async def test_closing_finishes_what_waits_and_takes_no_more(engine: SqliteEngine, path: Path) -> None:
    gate = Gate()
    first = asyncio.ensure_future(engine.write(gate))
    waits = [asyncio.ensure_future(engine.write(note(f"n{number}"))) for number in range(300)]
    await asyncio.to_thread(gate.reached.wait, 10)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    for refused in (engine.write(note("late")), engine.read(notes)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await refused
    gate.opened.set()
    await closing
    assert await asyncio.gather(first, *waits) == [None] + [1] * 300
    await engine.close()
    assert [file.name for file in path.parent.iterdir()] == ["relay.db"]


async def test_closing_while_the_database_is_locked_is_quick(engine: SqliteEngine, path: Path) -> None:
    await engine.write(lambda tx: tx.connection.execute("PRAGMA busy_timeout=50"))
    with held(path):
        waits = [asyncio.ensure_future(engine.write(note(f"n{number}"))) for number in range(1000)]
        await asyncio.sleep(0)
        async with asyncio.timeout(12):
            await engine.close()
        results = await asyncio.gather(*waits, return_exceptions=True)
    assert {type(one) for one in results} == {StoreUnavailable}


def test_a_loop_that_is_closed_before_the_store_ends_its_thread(path: Path) -> None:
    loop = asyncio.new_event_loop()
    engine = loop.run_until_complete(SqliteEngine.open(path))
    gate = Gate()

    async def begin() -> None:
        writing = asyncio.ensure_future(engine.write(gate))
        await asyncio.to_thread(gate.reached.wait, 10)
        writing.cancel()

    loop.run_until_complete(begin())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    gate.opened.set()
    engine._writer._thread.join(10)
    assert not engine._writer._thread.is_alive()
    engine._shut()


async def test_no_file_stays_open_after_errors(engine: SqliteEngine, path: Path) -> None:
    await engine.write(note("n"))
    await engine.read(notes)
    path.rename(path.with_name("away.db"))
    for _ in range(20):
        for work in (engine.write(note("n")), engine.read(notes)):
            with pytest.raises(StoreUnavailable):
                await work
    opened = [file.path for file in psutil.Process().open_files() if str(path.parent) in file.path]
    assert len(opened) <= 6  # two connections with three files each


async def test_times_survive_to_the_millisecond(engine: SqliteEngine) -> None:
    new = receipt(now=at(0.123))
    await accept(Inbox(engine), new, [], Rules())
    kept = await Inbox(engine).get(new.id)
    assert kept is not None
    assert kept.received_at - NOW == at(0.123) - NOW
