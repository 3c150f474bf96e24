"""Webhooks that are stored together come to what they would have come to one after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.stored import Rules, at, event, receipt, wanted

from service.domain.events import AssetEvent, AssetKind
from service.domain.purges import Action, PlannedPurge
from service.store.engine import Tx
from service.store.inbox import Accepted, _accept_all, _Incoming
from service.store.migrate import upgrade_sqlite
from service.store.rowsets import MOST, RowSet
from service.store.statements import Statements, for_psycopg, load_statements

STATEMENTS = Statements(load_statements("sqlite"))
IMAGES = [f"https://img.example.com/{name}.jpg" for name in "ab"]


@dataclass(frozen=True)
class Webhook:
    """One of a few events, about one of a few assets, that asks for some of a few purges."""

    event_id: str | None
    asset: str
    kind: AssetKind
    occurred: int | None
    purges: tuple[PlannedPurge, ...]
    failed: bool
    seconds: float


purges = st.builds(
    wanted,
    st.sampled_from(IMAGES),
    st.sampled_from(Action),
    project=st.sampled_from(["shop", "blog"]),
    deadline=st.sampled_from([0, 60]),
    settle=st.sampled_from([0, 0.1, 2]),
    rule=st.sampled_from(["r", "s"]),
    refusal=st.sampled_from([None, None, None, "has an asterisk", "is too long"]),
)
webhooks = st.builds(
    Webhook,
    event_id=st.sampled_from([None, "e1", "e2", "e3"]),
    asset=st.sampled_from(["a1", "a2"]),
    kind=st.sampled_from([AssetKind.UPDATED, AssetKind.DELETED]),
    occurred=st.sampled_from([None, 1, 2]),
    purges=st.lists(purges, max_size=3).map(tuple),
    failed=st.booleans(),
    seconds=st.sampled_from([0.0, 0.03, 1, 1.5, 11]),
)


def incoming(webhook: Webhook, number: int, seconds: float) -> _Incoming:
    moment = at(seconds)
    occurred = None if webhook.occurred is None else at(webhook.occurred)
    url = f"{IMAGES[0]}?v={number}"
    told: Sequence[AssetEvent] = [event(url, id=webhook.asset, kind=webhook.kind, occurred_at=occurred)]
    rules = Rules(*webhook.purges, failed="broken" if webhook.failed else None) if webhook.purges else Rules()
    return _Incoming(receipt(webhook.event_id, moment, id=f"rcp_{number}"), told, rules)


def state(groups: Sequence[Sequence[_Incoming]]) -> tuple[list[Any], list[tuple[Any, ...]]]:
    """What the store answers and what it holds, with each purge named by its image, since ids are chance."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        upgrade_sqlite(connection)
        answers: list[Accepted] = []
        for group in groups:
            answers += _accept_all(Tx(STATEMENTS, connection), group)
        names: dict[str, str] = {}
        held: list[tuple[Any, ...]] = []
        for row in connection.execute(
            "SELECT * FROM purges ORDER BY project, src_image, action, state, created_at, id"
        ):
            place = (row["project"], row["src_image"], row["action"], row["state"])
            names[row["id"]] = f"{place} {sum(name.startswith(str(place)) for name in names.values())}"
        for row in connection.execute("SELECT * FROM purges"):
            by = names.get(row["superseded_by"] or "")
            held.append((names[row["id"]], by, *(row[key] for key in row.keys() if key not in ("id", "superseded_by"))))  # noqa: SIM118 - a row of sqlite3 is no mapping
        for row in connection.execute("SELECT * FROM receipt_purges"):
            held.append((row["receipt_id"], names[row["purge_id"]], row["rule"]))
        held += [tuple(row) for row in connection.execute("SELECT * FROM receipts")]
        held += [tuple(row) for row in connection.execute("SELECT * FROM assets")]
        told = [(one.id, one.status, one.reason, one.purges, one.planned) for one in answers]
        return told, sorted(held, key=repr)


def _asks(seconds: float, settle: float) -> Webhook:
    return Webhook(None, "a1", AssetKind.UPDATED, None, (wanted(settle=settle),), failed=False, seconds=seconds)


@given(st.lists(webhooks, min_size=1, max_size=8))
@example([_asks(0, 2), _asks(11, 2)])  # past five times the settling time
@example([_asks(0, 2), _asks(1, 0), _asks(1, 2)])
def test_a_group_is_what_its_webhooks_are_one_after_the_other(given_webhooks: list[Webhook]) -> None:
    def fresh() -> list[_Incoming]:
        seconds, made = 0.0, []
        for number, webhook in enumerate(given_webhooks):
            seconds += webhook.seconds
            made.append(incoming(webhook, number, seconds))
        return made

    assert state([fresh()]) == state([[one] for one in fresh()])


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 200])
def test_rows_come_in_their_order_in_few_statements_of_few_sizes(count: int) -> None:
    rows = [(number, f"n{number}") for number in range(count)]
    chunks = list(RowSet("INSERT INTO t (a, b) VALUES :rows ON CONFLICT DO :settle").chunks(rows, {"settle": "x"}))
    assert [value for _, values in chunks for value in values if value != "x"] == [
        value for row in rows for value in row
    ]
    sizes = [text.count("(?, ?)") for text, _ in chunks]
    assert sum(sizes) == count
    assert all(size <= MOST and f"{size:b}".rstrip("0") in ("1", "11", "101", "111") for size in sizes)
    assert len(sizes) <= 3 + len(rows) // MOST
    assert all(text.endswith("DO ?") and values[-1] == "x" for text, values in chunks)


def test_parameters_before_the_rows_come_before_them() -> None:
    ((text, values),) = RowSet("SELECT :a FROM (VALUES :rows) WHERE :b").chunks([(1, 2)], {"a": "A", "b": "B"})
    assert (text, values) == ("SELECT ? FROM (VALUES (?, ?)) WHERE ?", ["A", 1, 2, "B"])


def test_psycopg_s_spelling() -> None:
    told = for_psycopg({"s": "SELECT :a::bigint WHERE x LIKE '@%' AND b = :b_c"})
    assert told == {"s": "SELECT %(a)s::bigint WHERE x LIKE '@%%' AND b = %(b_c)s"}
    ((text, values),) = RowSet("VALUES %(rows)s DO %(b)s").chunks([(1, 2)], {"b": 3})
    assert (text, values) == ("VALUES (%s, %s) DO %s", [1, 2, 3])
