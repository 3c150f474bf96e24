"""`image-relay doctor`: what is wrong is found, and nothing that is right is blamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from support.commands import CONFIG, NOW, OTHER_KEY, VAULT_KEY, Relay
from support.loopback import serve

from service.cli import doctor
from service.domain.clock import Clock, system_clock
from service.domain.errors import Refused
from service.domain.holds import Hold, HoldKind
from service.domain.lookups import LookupSettlement, LookupState
from service.domain.secret import Secret
from service.store.board import Board
from service.store.engine import Engine
from service.store.inbox import Inbox
from service.store.lookups import Lookups
from service.store.sqlite import SqliteEngine
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

ID_ALONE = """\
  kontent:
    provider: kontent-ai
    secrets: [fake-kontent-ai-secret]
    resolve: {preset: kontent-ai, headers: {Authorization: Bearer fake-management-key}}
    projects: [shop]
"""


def findings(relay: Relay, *arguments: str, code: int) -> list[tuple[str, str, str]]:
    done = relay.run("doctor", "--json", *arguments)
    assert done.code == code, done
    return [(one["level"], one["about"], one["found"]) for one in done.json]


def of(found: list[tuple[str, str, str]], about: str) -> list[str]:
    return [f"{level}: {text}" for level, place, text in found if place == about]


def test_all_is_well(relay: Relay) -> None:
    relay.run("db", "upgrade")
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        relay.write(CONFIG.replace("team: team_1a2b3c", "token: vcp_blogblogblog0123456789"), api=url)
        done = relay.run("doctor")
    assert done.code == 0, done
    assert "PROBLEM" not in done.out
    assert "ok       store: sqlite:///relay.db is up to date and can be written" in done.out
    assert "ok       project shop: Vercel lets the token" in done.out
    assert "warning  relay: no answer from http://127.0.0.1:8080" in done.out


def test_offline_it_asks_nobody(relay: Relay) -> None:
    relay.run("db", "upgrade")
    found = findings(relay, "--offline", code=0)
    assert {about for _, about, _ in found} == {"configuration", "store", "vault"}


def test_no_store(relay: Relay) -> None:
    (problem,) = of(findings(relay, "--offline", code=1), "store")
    assert problem.startswith("problem: there is no store sqlite:///relay.db yet")


def test_a_project_that_vercel_does_not_know_and_a_port_of_its_own_choosing(relay: Relay) -> None:
    relay.run("db", "upgrade")
    with serve(create_fake_vercel(FakeVercel())) as url:
        relay.write(CONFIG + "server: {port: 0}\n", api=url)
        found = findings(relay, code=1)
    assert any(text.startswith("problem: ") for text in of(found, "project blog"))
    assert of(found, "relay")[0].startswith("warning: the port is 0")


def test_a_relay_that_is_ready(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    relay.run("db", "upgrade")
    monkeypatch.setattr(doctor, "ask", lambda _: None)
    with serve(create_fake_vercel(FakeVercel())) as url:
        relay.write(CONFIG.replace("team: team_1a2b3c", "token: vcp_blogblogblog0123456789"), api=url)
        assert of(findings(relay, code=0), "relay") == ["ok: a relay runs here, and is ready"]


def test_a_lost_vault_key(relay: Relay) -> None:
    relay.run("tokens", "set", "blog", stdin="vcp_blogblogblog0123456789")
    relay.write(CONFIG.replace(VAULT_KEY, OTHER_KEY))
    (problem,) = of(findings(relay, "--offline", code=1), "vault")
    assert problem.startswith("problem: ")


def test_little_room(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    relay.run("db", "upgrade")
    usage = type(shutil.disk_usage("/"))(100, 90, 10 * 1024**2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "warning: 10 MB are free on its disk" in of(findings(relay, "--offline", code=0), "store")


@pytest.mark.parametrize(("ahead", "told"), [(600, "600 s ahead of"), (-600, "600 s behind"), (0.5, "")])
def test_a_clock_that_the_database_does_not_share(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, ahead: float, told: str
) -> None:
    def clock(_: SqliteEngine, own: Clock, /) -> Clock:
        return lambda: own() - timedelta(seconds=ahead)

    monkeypatch.setattr(SqliteEngine, "clock", clock)
    relay.run("db", "upgrade")
    said = of(findings(relay, "--offline", code=0), "clock")
    assert said == ([f"warning: this machine's clock is {told} the database's"] if told else [])


async def _hold(engine: Engine) -> None:
    hold = Hold(project="shop", kind=HoldKind.AUTO, reason="403 Forbidden", credential="", since=NOW, probe_at=NOW)
    await Board(engine).hold(hold)


def test_what_waits_is_held_or_dead(relay: Relay) -> None:
    relay.take(relay.signed("https://img.example.com/products/1.jpg"))
    relay.take(relay.signed("https://img.example.com/products/*.jpg"))
    relay.store(_hold)
    found = of(findings(relay, "--offline", code=1), "project shop")
    assert "problem: on hold: 403 Forbidden" in found
    assert "warning: 2 dead purges" in found
    assert any(text.startswith("warning: 2 purges wait, the oldest for ") for text in found)
    assert relay.run("doctor", "--offline").out.count("`image-relay resume shop`") == 1


def test_refusals_of_late(relay: Relay) -> None:
    pipeline = relay.pipelines()["hook"]
    request = relay.signed("https://img.example.com/1.jpg")

    def kept(reason: str, age: timedelta) -> Callable[[Engine], Awaitable[Any]]:
        receipt = pipeline.refused(request, Refused(reason, "some detail"), system_clock() - age)
        return lambda engine: Inbox(engine).keep(receipt, 100)

    for reason, age in [("signature_mismatch", 1), ("signature_mismatch", 2), ("odd", 3), ("signature_missing", 30)]:
        relay.store(kept(reason, timedelta(hours=age)))
    found = of(findings(relay, "--offline", code=0), "source hook")
    assert found == [
        "warning: 2 requests were refused within a day: signature_mismatch",
        "warning: 1 requests were refused within a day: odd",
    ]
    told = relay.run("doctor", "--offline").out
    assert "compare the secret at the sender" in told
    assert "`image-relay receipts list --source hook --status refused`" in told


def test_lookups_that_fail(relay: Relay) -> None:
    relay.write(CONFIG + ID_ALONE)
    provider = relay.pipelines()["kontent"].provider
    sample = next(iter(type(provider).samples(NOW).values()))
    relay.take(provider.sign(sample, "/hooks/kontent", NOW), source="kontent")

    async def fail(engine: Engine) -> None:
        lookups = Lookups(engine)
        lookup = await lookups.claim("kontent", "test", system_clock())
        assert lookup is not None
        later = LookupSettlement(state=LookupState.PENDING, last_error="503", due_at=system_clock(), failing_since=NOW)
        await lookups.settle(lookup, later, system_clock())

    relay.store(fail)
    assert of(findings(relay, "--offline", code=0), "source kontent") == ["warning: 1 lookups fail: 503"]


def test_nothing_secret_is_said(relay: Relay) -> None:
    relay.run("tokens", "set", "blog", stdin="vcp_blogblogblog0123456789")
    told = relay.run("doctor", "--offline").out
    assert Secret("vcp_blogblogblog0123456789").reveal() not in told
    assert os.fspath(relay.folder) in told or "relay.yaml" in told
