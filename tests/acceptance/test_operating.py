"""What an operator does beside the running relay, as commands of their own on the same store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet
from support.loopback import serve
from support.process import eventually, relay, running, write_config
from support.webhooks import replaced, signed

from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

pytestmark = pytest.mark.e2e

STORED = "vcp_storedfakestoredfake0123"


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel(tokens=[STORED])
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


def command(folder: Path, *arguments: str) -> str:
    with running(*arguments, cwd=folder) as process:
        assert process.wait() == 0, process.output
        return process.output


def test_a_token_stored_beside_it_is_used_and_shown_nowhere(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    folder, token = tmp_path / "relay", tmp_path / "token"
    folder.mkdir()
    keys = f"vault: {{keys: [{Fernet.generate_key().decode()}]}}\n"
    write_config(folder, url, projects="shop: {project: my-shop}\n", more=keys)
    fake.script(Answer(status=500, message=f"no luck with {STORED}"))
    body = replaced("photo", "https://img.example.com/photo.jpg")
    with relay(folder) as process:
        assert httpx.post(f"{process.address}/hooks/hook", content=body, headers=signed("msg_1", body)).is_success

        def warnings() -> str:
            return " ".join(httpx.get(f"{process.address}/readyz").json()["warnings"])

        eventually(lambda: "image-relay tokens set shop" in warnings())
        token.write_text("vcp_wrongfakewrongfake012345\n")
        command(folder, "tokens", "set", "shop", "--file", str(token))
        eventually(lambda: "does not know this token" in warnings())
        assert "does not know this token" in command(folder, "hold")
        token.write_text(f"{STORED}\n")
        told = command(folder, "tokens", "set", "shop", "--file", str(token))
        eventually(lambda: [call["status"] for call in fake.calls] == [403, 500, 200])
        assert warnings() == ""
        told += command(folder, "purges", "list", "--json") + command(folder, "tokens", "list", "--json")
        assert "no luck with ***" in process.output
        assert STORED not in process.output + told
        assert all(STORED.encode() not in file.read_bytes() for file in folder.iterdir())


def test_the_inbox_and_the_store_do_not_grow_for_ever(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> None:
    _, url = vercel
    projects = f"shop: {{project: my-shop, token: {STORED}}}\n"
    write_config(tmp_path, url, projects=projects, more="retention: {receipts: 1, purges: 1, refused: 2}\n")
    body = replaced("photo", "https://img.example.com/photo.jpg")
    with relay(tmp_path) as process:
        hook = f"{process.address}/hooks/hook"
        assert httpx.post(hook, content=body, headers=signed("msg_1", body)).is_success
        assert [httpx.post(hook, content=body).status_code for _ in range(4)] == [401] * 4
        eventually(lambda: len(json.loads(command(tmp_path, "receipts", "list", "--status", "refused", "--json"))) == 2)
        eventually(lambda: "done" in command(tmp_path, "purges", "list"))
    with closing(sqlite3.connect(tmp_path / "relay.db")) as database, database:
        # Years ago: ids begin with their time.
        database.execute("UPDATE receipts SET id = 'rcp_00' || substr(id, 7)")
        database.execute("UPDATE receipt_purges SET receipt_id = 'rcp_00' || substr(receipt_id, 7)")
        database.execute("UPDATE purges SET finished_at = 0")
    with relay(tmp_path):
        eventually(lambda: rows(tmp_path) == [0, 0, 0, 0])


def rows(folder: Path) -> list[int]:
    with closing(sqlite3.connect(folder / "relay.db")) as database:
        tables = ("receipts", "purges", "attempts", "receipt_purges")
        return [database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables]  # noqa: S608 - ours
