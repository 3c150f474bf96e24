"""hold, resume, assets, db: the small commands on the store."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from support.commands import NOW, Relay
from support.postgres import fresh_schema

from service.domain.holds import Hold, HoldKind
from service.store.board import Board
from service.store.engine import Engine

URL = "https://img.example.com/products/lamp.jpg"


def test_hold_and_resume(relay: Relay) -> None:
    assert relay.run("hold", "shop", "--reason", "a launch").out == "shop is on hold until `image-relay resume shop`\n"
    [held] = relay.run("hold", "--json").json
    assert (held["project"], held["kind"], held["reason"]) == ("shop", "manual", "a launch")
    listed = relay.run("hold").out.splitlines()
    assert listed[0].split() == ["PROJECT", "SINCE", "BY", "REASON"]
    assert listed[1].startswith("shop")
    assert listed[1].endswith("an operator  a launch")
    assert relay.run("resume", "shop").out == "shop goes on\n"
    assert relay.run("resume", "shop").out == "shop was not on hold\n"
    done = relay.run("hold")
    assert (done.code, done.out, done.err) == (0, "", "No project is on hold.\n")
    assert relay.run("hold", "--json").json == []


def test_hold_in_json(relay: Relay) -> None:
    assert relay.run("hold", "shop", "--json").json["reason"] == "held by an operator"


def test_what_an_answer_of_vercels_holds_can_be_resumed_too(relay: Relay) -> None:
    hold = Hold(project="gone", kind=HoldKind.AUTO, reason="403", credential="abc", since=NOW, probe_at=NOW)
    relay.store(lambda engine: Board(engine).hold(hold))
    assert "an answer of Vercel's  403" in relay.run("hold").out
    assert relay.run("resume", "gone").out == "gone goes on\n"
    assert relay.fails("resume", "gone") == "there is no project 'gone' (there is: shop, blog)"


@pytest.mark.parametrize("command", ["hold", "resume"])
def test_an_unknown_project(relay: Relay, command: str) -> None:
    relay.run("db", "upgrade")
    assert relay.fails(command, "shp") == "there is no project 'shp', did you mean 'shop'?"


def test_assets(relay: Relay) -> None:
    relay.take(relay.signed(URL))
    relay.take(relay.signed("https://img.example.com/v2/products/lamp.jpg"))
    shown = relay.run("assets", "show", "hook", "lamp.jpg").out
    assert [line.split() for line in shown.splitlines() if "url" in line] == [
        ["url", "https://img.example.com/v2/products/lamp.jpg"],
        ["earlier", "url", URL],
    ]
    [entry] = relay.run("assets", "show", "hook", "lamp.jpg", "--json").json
    assert entry["urls"] == ["https://img.example.com/v2/products/lamp.jpg"]
    assert entry["earlier_urls"] == [URL]
    assert (entry["environment"], entry["gone"]) == (None, False)


def test_an_asset_that_is_gone_in_one_of_two_environments(bare: Relay) -> None:
    bare.write(
        f"""\
        store: sqlite:///relay.db
        projects: {{shop: {{project: my-shop, token: vcp_fakefakefake0123456789}}}}
        sources: {{cms: {{provider: contentful, secrets: [{"f" * 64}]}}}}
        """
    )
    provider = bare.pipelines()["cms"].provider
    samples = provider.samples(NOW)
    publish, delete = (provider.sign(samples[event], "/hooks/cms", NOW) for event in ("publish", "delete"))
    bare.take(publish, "cms")
    staging = samples["publish"]
    staged = type(staging)(
        staging.body.replace(b'"master"', b'"staging"'), {**staging.headers, "x-contentful-idempotency-key": "2"}
    )
    bare.take(provider.sign(staged, "/hooks/cms", NOW), "cms")
    bare.take(delete, "cms")
    shown = bare.run("assets", "show", "cms", "5zjx3VGcI1qdQpFASzJaD1").out
    master, other = shown.split("\n\n")
    assert "environment  master" in master
    assert "gone         yes" in master
    assert "environment  staging" in other
    assert "gone" not in other


def test_an_unknown_asset(relay: Relay) -> None:
    relay.run("db", "upgrade")
    assert relay.fails("assets", "show", "hook", "x") == "nothing is remembered of 'x' of the source 'hook'"
    assert relay.run("assets", "show", "hook", "x", "--json").json == []
    assert "did you mean 'hook'" in relay.fails("assets", "show", "hok", "x")


def test_db_upgrade_says_what_it_did(relay: Relay) -> None:
    first = relay.run("db", "upgrade").out.splitlines()
    assert first[0] == "applied 0001_initial.sql"
    assert first[-1] == "sqlite:///relay.db is up to date"
    assert relay.run("db", "upgrade").out.splitlines() == ["sqlite:///relay.db is up to date"]


def test_a_newer_database_is_refused_by_every_command(relay: Relay) -> None:
    relay.run("db", "upgrade")
    with sqlite3.connect(relay.folder / "relay.db") as database:
        database.execute("INSERT INTO schema_migrations VALUES (9999, '9999_future.sql', 'x', '2030-01-01T00:00:00Z')")
    database.close()
    for command in (["db", "upgrade"], ["receipts", "list"], ["hold", "shop"], ["tokens", "list"]):
        assert "newer release" in relay.fails(*command)


@pytest.mark.parametrize(
    "command",
    [
        ["receipts", "list"],
        ["receipts", "show", "rcp_1"],
        ["receipts", "replay", "rcp_1"],
        ["purges", "list"],
        ["purges", "show", "prg_1"],
        ["purges", "retry", "--dead"],
        ["purges", "drop", "prg_1"],
        ["assets", "show", "hook", "x"],
        ["resume", "shop"],
        ["tokens", "list"],
        ["tokens", "remove", "shop"],
        ["tokens", "rotate-keys"],
    ],
    ids=" ".join,
)
def test_where_there_is_no_store_yet(relay: Relay, command: list[str]) -> None:
    message = "there is no store sqlite:///relay.db yet: `image-relay serve` makes it when it starts"
    assert relay.fails(*command) == message
    assert not (relay.folder / "relay.db").exists()


def test_a_file_that_is_no_database(relay: Relay) -> None:
    (relay.folder / "relay.db").write_bytes(b"this is not a database, whatever its name says" * 100)
    assert "relay.db" in relay.fails("receipts", "list")


def test_a_store_is_copied_into_the_configured_postgresql(relay: Relay) -> None:
    relay.take(relay.signed("https://img.example.com/products/1.jpg"))
    with fresh_schema() as store:
        done = relay.run("db", "copy", "sqlite:///relay.db", environ={"RELAY_STORE": store})
        assert (done.code, done.err) == (0, "")
        assert {"receipts: 1", "purges: 2", "assets: 1"} <= set(done.out.splitlines())
        assert done.out.splitlines()[-1] == f"{store} has all of sqlite:///relay.db"
        listed = relay.run("receipts", "list", "--json", environ={"RELAY_STORE": store}).json
        assert [one["status"] for one in listed] == ["accepted"]


@pytest.mark.parametrize(
    ("arguments", "store", "problem"),
    [
        (["sqlite:///relay.db"], None, "the configured store is sqlite:///relay.db: set it to postgresql://… first"),
        (["sqlite:///no.db"], "postgresql://db/relay", "there is no store sqlite:///no.db"),
        (["relay.db"], "postgresql://db/relay", "SOURCE must be sqlite:///PATH"),
    ],
)
def test_what_cannot_be_copied(relay: Relay, arguments: list[str], store: str | None, problem: str) -> None:
    relay.run("db", "upgrade")
    relay.environ = {} if store is None else {"RELAY_STORE": store}
    assert relay.fails("db", "copy", *arguments).startswith(problem)


def test_a_store_that_a_relay_runs_on_is_not_copied(relay: Relay) -> None:
    async def beside(engine: Engine) -> str:
        assert await engine.lanes("relay", 0).own(["shop"])
        return await asyncio.to_thread(relay.fails, "db", "copy", "sqlite:///relay.db")

    relay.environ = {"RELAY_STORE": "postgresql://127.0.0.1:1/relay"}
    assert relay.store(beside) == "a relay runs on relay.db: stop it first"
