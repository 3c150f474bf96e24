"""`purges`: what waits, what was done, what is dead, and an operator's hand on it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.commands import NOW, Relay

from service.domain.attempts import Attempt, Settlement
from service.domain.purges import Purge, PurgeState
from service.store.engine import Engine
from service.store.purges import Purges
from service.store.queue import Queue

LAMP = "https://img.example.com/products/lamp.jpg"
CHAIR = "https://img.example.com/products/chair.jpg"


def call(relay: Relay, state: PurgeState, status: int, reason: str) -> None:
    """One call for whatever is due, and its end."""

    async def work(engine: Engine) -> None:
        queue = Queue(engine)
        purges = await queue.claim("shop", "worker", NOW + timedelta(minutes=1), 8)
        attempt = Attempt(
            call_id="call_1",
            at=NOW,
            images=len(purges),
            status=status,
            outcome="invalid",
            reason=reason,
            duration_ms=42,
        )
        ends = [Settlement(purge=purge, state=state, last_error=reason) for purge in purges]
        await queue.settle(attempt, purges, ends)

    relay.store(work)


def purges(relay: Relay) -> list[Purge]:
    """Oldest first."""
    return list(relay.store(lambda engine: Purges(engine).list()))[::-1]


@pytest.fixture
def dead(relay: Relay) -> list[str]:
    """Two dead purges (of the lamp), then two that wait (of the chair)."""
    relay.take(relay.signed(LAMP))
    call(relay, PurgeState.DEAD, 400, "400 Bad Request: no such image")
    relay.take(relay.signed(CHAIR))
    return [purge.id for purge in purges(relay) if purge.state is PurgeState.DEAD]


def listed(relay: Relay, *arguments: str) -> list[str]:
    return sorted(entry["src_image"] for entry in relay.run("purges", "list", *arguments, "--json").json)


def test_list(relay: Relay, dead: list[str]) -> None:
    done = relay.run("purges", "list", "--state", "dead")
    head, *lines = done.out.splitlines()
    assert head.split() == ["ID", "CREATED", "PROJECT", "STATE", "ACTION", "IMAGE", "ATTEMPTS", "LAST", "ERROR"]
    assert sorted(line.split()[0] for line in lines) == sorted(dead)
    assert lines[0].split()[2:5] == ["shop", "dead", "delete"]
    assert lines[0].endswith("400 Bad Request: no such image")


def test_list_of_some(relay: Relay, dead: list[str]) -> None:
    assert listed(relay, "--state", "pending") == ["/products/chair.jpg", CHAIR]
    assert listed(relay, "--image", LAMP) == [LAMP]
    assert listed(relay, "--project", "blog") == []
    assert len(listed(relay, "--project", "shop")) == 4
    newest = relay.run("purges", "list", "--limit", "1", "--json").json[0]["id"]
    assert len(listed(relay, "--before", newest)) == 3
    assert relay.run("purges", "list", "--limit", "1").err == f"There may be more: --before {newest}\n"
    done = relay.run("purges", "list", "--state", "done")
    assert (done.code, done.out, done.err) == (0, "", "There are no such purges.\n")
    assert "'nope' is not one of" in relay.fails("purges", "list", "--state", "nope", code=2)


def test_show(relay: Relay, dead: list[str]) -> None:
    shown = relay.run("purges", "show", dead[0]).out
    for part in (
        "project     shop",
        "state       dead",
        "deadline    60 s",
        "last error  400 Bad Request: no such image",
        "call call_1 at 2026-11-24T12:00:00.000Z: invalid, 400 Bad Request: no such image (2 images, 42 ms)",
        "receipt rcp_",
        "by rule 'products'",
    ):
        assert part in shown
    pending = next(purge.id for purge in purges(relay) if purge.state is PurgeState.PENDING)
    assert "due       2026-11-24T12:00:00.000Z" in relay.run("purges", "show", pending).out


def test_show_in_json(relay: Relay, dead: list[str]) -> None:
    document = relay.run("purges", "show", dead[0], "--json").json
    assert (document["state"], document["revalidation_deadline_seconds"]) == ("dead", 60)
    assert document["calls"][0]["status"] == 400
    assert document["receipts"][0]["source"] == "hook"
    assert document["receipts"][0]["received_at"] == "2026-11-24T12:00:00.000Z"


def test_an_unknown_purge(relay: Relay, dead: list[str]) -> None:
    message = "there is no purge prg_nope: `image-relay purges list` shows those there are"
    for command in ("show", "retry", "drop"):
        assert relay.fails("purges", command, "prg_nope") == message


def states(relay: Relay) -> list[str]:
    return [purge.state.value for purge in purges(relay)]


def test_retry_by_id(relay: Relay, dead: list[str]) -> None:
    assert relay.run("purges", "retry", *dead).out == "2 purges will be sent again\n"
    assert states(relay) == ["pending"] * 4


def test_retry_of_every_dead_letter(relay: Relay, dead: list[str]) -> None:
    assert relay.run("purges", "retry", "--dead", "--project", "blog").out == "no purge is dead\n"
    assert relay.run("purges", "retry", "--dead", "--project", "shop").out == "2 purges will be sent again\n"
    assert relay.run("purges", "retry", "--dead").out == "no purge is dead\n"
    assert states(relay) == ["pending"] * 4


def test_retry_of_what_is_done(relay: Relay) -> None:
    relay.take(relay.signed(LAMP))
    call(relay, PurgeState.DONE, 200, "200 OK")
    assert "only dead, dropped and pending purges can be retried" in relay.fails("purges", "retry", purges(relay)[0].id)


@pytest.mark.parametrize("arguments", [[], ["prg_1", "--dead"], ["prg_1", "--project", "shop"], ["--project", "shop"]])
def test_retry_of_what(relay: Relay, dead: list[str], arguments: list[str]) -> None:
    assert "give purges' ids, or --dead" in relay.fails("purges", "retry", *arguments, code=2)


def test_drop(relay: Relay, dead: list[str]) -> None:
    assert relay.run("purges", "drop", *dead).out == "2 purges dropped\n"
    assert sorted(states(relay)) == ["dropped", "dropped", "pending", "pending"]
    assert "is dropped" in relay.fails("purges", "drop", dead[0])
    assert relay.run("purges", "retry", dead[0]).code == 0
    assert "Missing argument" in relay.fails("purges", "drop", code=2)
