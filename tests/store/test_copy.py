"""A SQLite store moved to PostgreSQL: all of it, checked, whatever breaks it off."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from support.stored import Rules, accept, at, claimed, event, receipt, wanted

from service.domain.errors import CommandFailed, StoreUnavailable
from service.domain.holds import Hold, HoldKind
from service.domain.tokens import StoredToken, TokenScope
from service.store import copy as copying
from service.store import open_store
from service.store.board import Board
from service.store.copy import copy_to_postgres
from service.store.inbox import Inbox
from service.store.tokens import Tokens

EVENTS = 30


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with something in every table."""
    monkeypatch.setattr(copying, "PAGE", 7)
    path = tmp_path / "relay.db"
    asyncio.run(_fill(path))
    return path


async def _fill(path: Path) -> None:
    engine = await open_store(f"sqlite:///{path}")
    inbox = Inbox(engine)
    for number in range(EVENTS):
        image = f"https://img.example.com/{number}\N{SNOWMAN}.jpg"
        await accept(inbox, receipt(f"e{number}", body=b"\x00\xff", path="/a\0b"), [event(image)], Rules(wanted(image)))
    await claimed(engine)
    board = Board(engine)
    hold = Hold(project="shop", kind=HoldKind.AUTO, reason="403", credential="fake", since=at(0), probe_at=at(60))
    await board.hold(hold)
    await board.block("fake", at(99))
    token = StoredToken(scope=TokenScope.TEAM, name="t", ciphertext=b"\x00", fingerprint="fake", updated_at=at(0))
    await Tokens(engine).put(token)
    await engine.close()


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT COUNT(*) FROM receipts").fetchone()
    assert found is not None
    return int(found[0])


def test_everything_is_there_afterwards(source: Path, url: str) -> None:
    told: list[tuple[str, int]] = []
    copied = copy_to_postgres(source, url, lambda table, count: told.append((table, count)))
    assert (copied["receipts"], copied["purges"], copied["holds"], copied["tokens"]) == (EVENTS, EVENTS, 1, 1)
    assert ("receipts", 7) in told
    assert ("receipts", EVENTS) in told
    assert copy_to_postgres(source, url, lambda *_: None) == copied, "once more changes nothing"

    async def look() -> None:
        engine = await open_store(url, upgrade=False)
        (newest, *_) = await Inbox(engine).list(limit=1)
        kept = await Inbox(engine).get(newest.id)
        assert kept is not None
        assert (kept.body, kept.path) == (b"\x00\xff", "/a\N{SYMBOL FOR NULL}b")
        assert (await Board(engine).holds())["shop"].reason == "403"
        await engine.close()

    asyncio.run(look())


def test_what_was_broken_off_is_begun_again(source: Path, url: str) -> None:
    def pull_the_plug(table: str, count: int) -> None:
        if table == "receipts" and count >= 14:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND application_name = 'vercel-image-relay'"
                )

    with pytest.raises(StoreUnavailable, match=r"the copy was broken off: .*; run it again"):
        copy_to_postgres(source, url, pull_the_plug)
    assert rows(url) == 14
    copy_to_postgres(source, url, lambda *_: None)
    assert rows(url) == EVENTS


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE receipts SET reason = 'other' WHERE id = (SELECT MIN(id) FROM receipts)",
        "INSERT INTO quotas VALUES ('another', 1)",
    ],
)
def test_a_target_with_other_contents_is_told(source: Path, url: str, change: str) -> None:
    copy_to_postgres(source, url, lambda *_: None)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(change.encode())
    with pytest.raises(CommandFailed, match="differs after the copy"):
        copy_to_postgres(source, url, lambda *_: None)


def test_a_source_that_is_not_up_to_date_is_refused(tmp_path: Path, url: str) -> None:
    path = tmp_path / "empty.db"
    with closing(sqlite3.connect(path)):
        pass
    path.touch()
    with pytest.raises(StoreUnavailable, match="image-relay db upgrade"):
        copy_to_postgres(path, url, lambda *_: None)
