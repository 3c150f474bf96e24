"""What PgBouncer in transaction mode takes away, and what takes its place. Run by `make pgbouncer-test`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from support import pgbouncer
from support.loopback import serve
from support.postgres import own_server
from support.process import TOKEN, eventually, relay, write_config
from support.webhooks import replaced, signed

from service.domain.errors import StoreUnavailable
from service.store.engine import Tx
from service.store.postgres import PostgresEngine
from service.testing.fake_vercel import FakeVercel, create_fake_vercel


@pytest.fixture(autouse=True)
def between() -> None:
    assert pgbouncer.program(), "`make pgbouncer-test` says where PgBouncer is"


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


def note(name: str) -> object:
    return lambda tx: tx.run("put_quota", credential=name, until=1)


def test_it_stands_between_in_transaction_mode(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    with psycopg.connect(f"postgresql://postgres@{parts.netloc.partition('@')[2]}/pgbouncer", autocommit=True) as admin:
        settings = {row[0]: row[1] for row in admin.cursor(binary=False).execute("SHOW CONFIG")}
        version = admin.execute("SHOW VERSION").fetchone()
    assert settings["pool_mode"] == "transaction"
    assert version is not None
    assert "PgBouncer" in str(version[0])


async def test_a_client_s_transactions_are_carried_out_by_different_sessions(postgres_url: str) -> None:
    """So that what a session would have kept is really gone."""
    one, other = [await PostgresEngine.open(postgres_url) for _ in range(2)]

    def session(tx: Tx) -> int:
        return int(tx.connection.execute("SELECT pg_backend_pid() FROM pg_sleep(0.02)").fetchone()[0])

    found = [await asyncio.gather(one.write(session), other.write(session), one.read(session)) for _ in range(10)]
    assert len({pid for row in found for pid in row}) >= 2
    assert any(len({row[at] for row in found}) > 1 for at in range(3)) or found[0][0] != found[0][1]
    await one.close()
    await other.close()


async def test_notifications_do_not_come_and_pile_up_nowhere(postgres_url: str) -> None:
    listening, writing = [await PostgresEngine.open(postgres_url) for _ in range(2)]
    heard: list[str] = []
    listening.listen(heard.append)
    await asyncio.sleep(0.5)
    for _ in range(200):
        await writing.write(lambda tx: tx.announce("shop"))
    connections = [listening._database._connection, writing._database._connection]
    assert [len(one._notifies_backlog or ()) for one in connections if one is not None] == [0, 0]
    assert len(heard) < 200
    await listening.close()
    await writing.close()


def test_a_look_every_second_takes_their_place(
    postgres_url: str, tmp_path: Path, vercel: tuple[FakeVercel, str]
) -> None:
    fake, url = vercel
    write_config(tmp_path, url, projects=f"shop: {{project: my-shop, token: {TOKEN}}}\n")
    environ = {"RELAY_STORE": postgres_url}
    with (
        relay(tmp_path, "--role", "ingest", environ=environ) as intake,
        relay(tmp_path, "--role", "dispatch", environ=environ),
        httpx.Client(base_url=intake.address, timeout=30) as http,
    ):
        waited = []
        for number in range(6):
            body = replaced(str(number), f"https://img.example.com/{number}.jpg", "asset.deleted")
            assert http.post("/hooks/hook", content=body, headers=signed(f"msg_{number}", body)).status_code == 200
            begun = time.monotonic()
            eventually(lambda number=number: len(fake.calls) > number)  # type: ignore[misc]  # the default makes it its own
            waited.append(time.monotonic() - begun)
            time.sleep(0.15)
    # The first may wait for the lease of the project as well.
    assert max(waited[1:]) < 3, waited


def test_options_in_the_url_do_not_get_through(postgres_url: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="options"):
        psycopg.connect(f"{postgres_url}?options=-csearch_path%3Delsewhere")


async def test_a_server_that_is_killed_and_started_again_behind_it() -> None:
    command = pgbouncer.program()
    assert command is not None
    with own_server() as server:
        port = pgbouncer.port(command, server.folder, server.user)
        engine = await PostgresEngine.open(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        assert await engine.write(note("before")) == 1  # type: ignore[arg-type]  # a lambda of one parameter
        server.crash()
        with pytest.raises(StoreUnavailable):
            async with asyncio.timeout(30):
                await engine.write(note("lost"))  # type: ignore[arg-type]  # as above
        server.start()
        async with asyncio.timeout(60):
            while True:
                try:
                    await engine.write(note("after"))  # type: ignore[arg-type]  # as above
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.2)
        rows = await engine.read(
            lambda tx: tx.connection.execute("SELECT credential FROM quotas ORDER BY 1").fetchall()
        )
        assert [row[0] for row in rows] == ["after", "before"]
        await engine.close()
