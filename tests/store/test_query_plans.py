"""What runs for every webhook, call or minute finds its rows by an index, however large the tables have grown."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from service.store.migrate import upgrade_sqlite
from service.store.rowsets import RowSet
from service.store.statements import load_statements

STATEMENTS = load_statements("sqlite")

# The rest are listings, of a page of a table or of a small one.
LISTINGS = {"list_receipts", "list_purges", "list_tokens", "list_holds", "list_quotas", "prune_quotas"}

SMALL = {
    "count_purges": "counts what waits, which is what it scans: the partial indexes hold nothing else",
    "count_assets": "no more than a million, every ten minutes, where somebody scrapes",
    "claimed_purges": "the partial index holds what is in a call",
    "pending_projects": "one step along the index a project",
    "claimed_lookups": "the partial index holds what is being asked",
    "failing_lookups": "the partial index holds what fails",
    "pending_lookup_sources": "one step along the index a source",
}


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as opened:
        upgrade_sqlite(opened)
        yield opened


WIDTHS = {
    "absorb_into_pending_deletes": 5,
    "finish_claimed": 4,
    "insert_attempts": 8,
    "insert_receipts": 16,
    "keep_traces": 2,
    "link_purges": 3,
    "pending_beside": 3,
    "put_assets": 10,
    "recall_assets": 3,
    "receipts_of_dedupes": 1,
    "traces_of_purges": 1,
    "upsert_purges": 10,
    "upsert_refused_purges": 13,
}


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    sql = STATEMENTS[statement]
    if statement in WIDTHS:
        ((text, values),) = RowSet(sql).chunks([[1] * WIDTHS[statement]] * 16, {"settle": 1, "now": 1})
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    parameters = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]


@pytest.mark.parametrize("statement", sorted(set(STATEMENTS) - LISTINGS - set(SMALL)))
def test_no_table_is_scanned(connection: sqlite3.Connection, statement: str) -> None:
    steps = plan(connection, statement)
    scans = [
        step
        for step in steps
        if step.startswith("SCAN") and not re.match(r"SCAN (\(subquery-|lane|SUBQUERY|wanted|16 CONSTANT ROWS)", step)
    ]
    assert scans == [], steps


@pytest.mark.parametrize("statement", sorted(SMALL))
def test_what_scans_an_index_scans_a_partial_one(connection: sqlite3.Connection, statement: str) -> None:
    indexes = "purges_pending|purges_due|purges_claimed|purges_dead|lookups_claimed|lookups_failing|lookups_due"
    for step in plan(connection, statement):
        if step.startswith(("SCAN purges", "SCAN lookups")):
            assert re.match(rf"SCAN (purges|lookups) USING (COVERING )?INDEX ({indexes})$", step), step


@pytest.mark.parametrize(
    "statement",
    ["head_of_lane", "next_due_at", "claim", "claim_lookup", "next_lookup_at", "expired_purges", "expired_dead_purges"],
)
def test_the_first_of_many_is_found_without_sorting_them(connection: sqlite3.Connection, statement: str) -> None:
    assert not [step for step in plan(connection, statement) if "TEMP B-TREE" in step]
