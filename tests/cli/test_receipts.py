"""`receipts`: what came in, what became of it, and once more after a rule was fixed."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import pytest
from support.commands import CONFIG, NOW, Relay

from service.domain.requests import RawRequest
from service.ingest.pipeline import REFUSED_BODY_BYTES
from service.store.purges import Purges

LAMP = "https://img.example.com/products/lamp.jpg"
OTHER = "https://img.example.com/others/chair.jpg"


@pytest.fixture
def ids(relay: Relay) -> dict[str, str]:
    """One receipt of each kind, by its status."""
    request = relay.signed(LAMP)
    accepted = relay.take(request)
    relay.take(request)  # again: a duplicate is no receipt of its own
    forged = RawRequest(request.method, request.path, request.headers, b'{"forged": "\x1b[31m"}\n')
    return {
        "accepted": accepted.id,
        "unmatched": relay.take(relay.signed(OTHER), at=NOW + timedelta(seconds=1)).id,
        "refused": relay.refuse(forged, at=NOW + timedelta(seconds=2)),
    }


def listed(relay: Relay, *arguments: str) -> list[str]:
    return [entry["id"] for entry in relay.run("receipts", "list", *arguments, "--json").json]


def test_list(relay: Relay, ids: dict[str, str]) -> None:
    done = relay.run("receipts", "list")
    head, *lines = done.out.splitlines()
    assert head.split() == ["ID", "RECEIVED", "SOURCE", "STATUS", "DELIVERIES", "REASON"]
    assert [line.split()[0] for line in lines] == [ids["refused"], ids["unmatched"], ids["accepted"]]
    assert lines[2].split()[1:] == ["2026-11-24T12:00:00.000Z", "hook", "accepted", "2"]
    assert "no rule gave a source image" in lines[1]
    assert done.err == ""


def test_list_in_json(relay: Relay, ids: dict[str, str]) -> None:
    accepted = relay.run("receipts", "list", "--status", "accepted", "--json").json[0]
    assert accepted["received_at"] == "2026-11-24T12:00:00.000Z"
    assert (accepted["source"], accepted["deliveries"], accepted["method"]) == ("hook", 2, "POST")
    assert accepted["path"] == "/hooks/hook"


def test_list_of_some(relay: Relay, ids: dict[str, str]) -> None:
    assert listed(relay, "--status", "unmatched") == [ids["unmatched"]]
    assert listed(relay, "--source", "hook") == [ids["refused"], ids["unmatched"], ids["accepted"]]
    assert listed(relay, "--source", "other") == []
    assert listed(relay, "--limit", "1") == [ids["refused"]]
    assert listed(relay, "--before", ids["refused"]) == [ids["unmatched"], ids["accepted"]]
    done = relay.run("receipts", "list", "--limit", "2")
    assert done.err == f"There may be more: --before {ids['unmatched']}\n"
    done = relay.run("receipts", "list", "--source", "other")
    assert (done.code, done.out, done.err) == (0, "", "There are no such receipts.\n")
    assert "'nope' is not one of" in relay.fails("receipts", "list", "--status", "nope", code=2)


def test_show(relay: Relay, ids: dict[str, str]) -> None:
    shown = relay.run("receipts", "show", ids["accepted"]).out
    for part in (
        "status       accepted",
        "delivered    2 times, last at ",
        "signed       2026-11-24T12:00:00.000Z",
        "request      POST /hooks/hook",
        "  webhook-id: ",
        f'"url": "{LAMP}"',
        "event 1: replaced lamp.jpg",
        "✓ products: ",
        "from {{ url | site_path }}, url = " + LAMP,
        "pending, delete /products/lamp.jpg",
        "of shop, by rule 'products'",
    ):
        assert part in shown
    refused = relay.run("receipts", "show", ids["refused"]).out
    assert "signature_mismatch" in refused
    assert '{"forged": "\\x1b[31m"}' in refused
    assert "\x1b" not in refused


def test_show_in_json(relay: Relay, ids: dict[str, str]) -> None:
    document = relay.run("receipts", "show", ids["accepted"], "--json").json
    assert LAMP in document["body"]
    assert document["trace"][0]["rules"][0]["rule"] == "products"
    assert {(purge["src_image"], purge["rule"]) for purge in document["purges"]} == {
        (LAMP, "products"),
        ("/products/lamp.jpg", "products"),
    }


def test_the_body_byte_for_byte(relay: Relay, ids: dict[str, str]) -> None:
    assert relay.run("receipts", "show", ids["refused"], "--body").out == '{"forged": "\x1b[31m"}\n'


def test_a_body_that_was_cut_and_is_no_text(relay: Relay) -> None:
    request = relay.signed(LAMP)
    size = REFUSED_BODY_BYTES + 1
    refused = relay.refuse(RawRequest(request.method, request.path, request.headers, b"\xff" * size))
    assert f"{size} bytes, of which {REFUSED_BODY_BYTES} were kept" in relay.run("receipts", "show", refused).out
    assert relay.run("receipts", "show", refused, "--json").json["body"].startswith("\\xff\\xff")
    done = relay.run("receipts", "replay", refused)
    assert done.code == 1
    assert "only 16384 were kept" in done.out


def test_what_vercel_would_never_take_is_shown_with_its_reason(relay: Relay) -> None:
    taken = relay.take(relay.signed("https://img.example.com/products/*.jpg"))
    shown = relay.run("receipts", "show", taken.id).out
    assert "never sent: the source image holds *" in shown
    assert "of shop, by rule 'products': the source image holds *" in shown


def test_an_unknown_receipt(relay: Relay, ids: dict[str, str]) -> None:
    message = "there is no receipt rcp_nope: `image-relay receipts list` shows those there are"
    assert relay.fails("receipts", "show", "rcp_nope") == message


def images(relay: Relay) -> list[str]:
    return sorted(purge.src_image for purge in relay.store(lambda engine: Purges(engine).list()))


def test_replay_after_a_rule_was_fixed(relay: Relay, ids: dict[str, str]) -> None:
    assert OTHER not in images(relay)
    relay.write(CONFIG.replace('"/products/" in url', "true"))
    done = relay.run("receipts", "replay", "--status", "unmatched")
    assert (done.code, done.out) == (0, f"{ids['unmatched']}: accepted, 2 purges\n")
    assert OTHER in images(relay)
    done = relay.run("receipts", "replay", "--status", "unmatched", "--source", "hook")
    assert (done.code, done.out, done.err) == (0, "", "There are no such receipts.\n")


def test_replay_by_id(relay: Relay, ids: dict[str, str]) -> None:
    done = relay.run("receipts", "replay", ids["unmatched"], ids["accepted"], "--json")
    assert done.code == 0
    assert [(one["id"], one["status"], one["purges"], one["error"]) for one in done.json] == [
        (ids["unmatched"], "unmatched", 0, None),
        (ids["accepted"], "accepted", 2, None),
    ]
    assert "unmatched, 0 purges (no rule gave a source image)" in relay.run("receipts", "replay", ids["unmatched"]).out


def test_replay_goes_on_after_one_that_cannot_be(relay: Relay, ids: dict[str, str]) -> None:
    done = relay.run("receipts", "replay", "rcp_nope", ids["refused"], ids["accepted"])
    assert (done.code, done.err) == (1, "Error: 2 of 3 receipts could not be replayed\n")
    lines = done.out.splitlines()
    assert lines[0].startswith("rcp_nope: not replayed: there is no receipt rcp_nope")
    assert "is still refused: signature_mismatch" in lines[1]
    assert lines[2] == f"{ids['accepted']}: accepted, 2 purges"
    document = relay.run("receipts", "replay", ids["refused"], "--json").json[0]
    assert (document["status"], document["purges"]) == (None, 0)
    assert "still refused" in document["error"]


def test_replay_of_a_refused_one_after_the_secret_was_added(relay: Relay) -> None:
    request = relay.signed(LAMP)
    refused = relay.refuse(request)
    assert relay.run("receipts", "replay", refused).out == f"{refused}: accepted, 2 purges\n"


def test_replay_of_a_source_that_is_gone(relay: Relay, ids: dict[str, str]) -> None:
    relay.write(CONFIG.replace("  hook:", "  other:"))
    assert "its source 'hook' is no longer in the configuration" in relay.run("receipts", "replay", ids["accepted"]).out


def test_a_store_that_fails_ends_a_replay(relay: Relay, ids: dict[str, str]) -> None:
    with sqlite3.connect(relay.folder / "relay.db") as database:
        database.execute("DROP TABLE assets")
    database.close()
    done = relay.run("receipts", "replay", ids["accepted"], ids["unmatched"])
    assert (done.code, done.out) == (1, "")
    assert "no such table" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["--source", "hook"], ["rcp_1", "--status", "unmatched"], ["rcp_1", "--source", "hook"]], ids=str
)
def test_replay_of_what(relay: Relay, ids: dict[str, str], arguments: list[str]) -> None:
    assert "give receipts' ids, or --status" in relay.fails("receipts", "replay", *arguments, code=2)
