"""What runs for every webhook, call or minute reads a few rows, whatever PostgreSQL believes of the tables.

What waits is the small part of a large table, and PostgreSQL counts seldom: it may believe for hours that nothing
waits. Each statement is carried out under `EXPLAIN ANALYZE`, which tells the rows that it came by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from support.postgres import fresh_schema

from service.store.postgres import PostgresTx, Server, statements
from service.store.postgres_schema import upgrade_postgres
from service.store.statements import load_statements

FEW = 200
"""Rows that the steps of a statement come by at most: some for each of those that it is about."""

GROUP = 8
WAITS = 3000
FINISHED = 20_000
_LATE = 10 * FINISHED
_IMAGES = "https://img.example.com/"
_TABLES = ("receipts", "assets", "receipt_purges", "purges", "lookups", "lookup_events")

# An id ends in the row's number.
_RECEIPTS = """
INSERT INTO receipts (id, source, dedupe, status, method, path, headers, body, body_bytes, received_at, seen_at,
                      deliveries, trace)
SELECT 'rcp_' || lpad(n::text, 8, '0'), 'cms', decode(md5(n::text), 'hex'), 'accepted', 'POST', '/hooks/cms', '{}',
       '{}', 2, n, n, 1, '[]'
FROM generate_series(1, %(rows)s) AS n"""
_ASSETS = """
INSERT INTO assets (source, environment, asset_id, urls, earlier_urls, gone, updated_at)
SELECT 'cms', '', 'a' || n, '[]', '[]', 0, n FROM generate_series(1, %(rows)s) AS n"""
_LINKS = """
INSERT INTO receipt_purges (receipt_id, purge_id, rule)
SELECT 'rcp_' || lpad(n::text, 8, '0'), 'prg_done' || lpad(n::text, 8, '0'), 'r'
FROM generate_series(1, %(rows)s) AS n"""
_PURGES = """
INSERT INTO purges (id, project, action, src_image, deadline, state, due_at, created_at, finished_at, attempts, events)
SELECT 'prg_' || %(state)s || lpad(n::text, 8, '0'), %(project)s, 'delete', %(images)s || n, 60,
       %(state)s, n, n, CASE WHEN %(finished)s THEN n END, 0, 1
FROM generate_series(1, %(rows)s) AS n"""
_LOOKUPS = """
INSERT INTO lookups (id, source, environment, asset_id, url, url_of, state, due_at, created_at, changed_at,
                     finished_at, attempts)
SELECT 'lkp_' || %(state)s || lpad(n::text, 8, '0'), %(source)s, '', 'a' || n, 'https://api.example.com/', 'rcp_1',
       %(state)s, n, n, n, CASE WHEN %(finished)s THEN n END, 0
FROM generate_series(1, %(rows)s) AS n"""
# The newest receipts are the ones that wait.
_LOOKUP_EVENTS = """
INSERT INTO lookup_events (lookup_id, receipt_id, position, event, planned)
SELECT 'lkp_' || %(state)s || lpad(n::text, 8, '0'), 'rcp_' || lpad((n + %(later)s)::text, 8, '0'), %(later)s, '{}',
       CASE WHEN %(finished)s THEN 1 ELSE 0 END
FROM generate_series(1, %(rows)s) AS n"""


def _fill_with_what_has_ended(connection: psycopg.Connection[Any]) -> None:
    for text in (_RECEIPTS, _ASSETS, _LINKS):
        connection.execute(text, {"rows": FINISHED})
    done = {"rows": FINISHED, "state": "done", "finished": True, "project": "shop", "images": _IMAGES}
    connection.execute(_PURGES, done)
    found = {"rows": FINISHED, "state": "found", "finished": True, "source": "cms", "later": 0}
    connection.execute(_LOOKUPS, found)
    connection.execute(_LOOKUP_EVENTS, found)


def _fill_with_what_waits(connection: psycopg.Connection[Any]) -> None:
    waits = {"rows": WAITS, "state": "pending", "finished": False, "project": "shop", "images": _IMAGES}
    connection.execute(_PURGES, waits)
    connection.execute(_PURGES, waits | {"state": "dead", "finished": True, "images": f"{_IMAGES}dead/"})
    connection.execute(_PURGES, waits | {"state": "claimed", "project": "another"})
    asked = {"rows": WAITS, "state": "pending", "finished": False, "source": "cms", "later": FINISHED - WAITS}
    connection.execute(_LOOKUPS, asked)
    connection.execute(_LOOKUP_EVENTS, asked)
    connection.execute(_LOOKUPS, asked | {"state": "claimed", "source": "another"})


def _count(connection: psycopg.Connection[Any]) -> None:
    for table in _TABLES:
        connection.execute(f"VACUUM ANALYZE {table}".encode())


@pytest.fixture(scope="module", params=["idle", "busy"])
def connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection[Any]]:
    """A store in which much has ended and much waits. PostgreSQL has counted before anything waited, or afterwards."""
    with fresh_schema() as url, Server(url).connect() as opened:
        upgrade_postgres(opened)
        for table in _TABLES:  # it does not count by itself in between
            opened.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
        _fill_with_what_has_ended(opened)
        _count(opened)
        _fill_with_what_waits(opened)
        if request.param == "busy":
            _count(opened)
        yield opened


class Explaining:
    """In a connection's and its cursor's place: carries statements out under `EXPLAIN ANALYZE`, and adds up the rows
    that they read."""

    description = None
    rowcount = 0

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = connection.cursor()
        self.read = 0.0
        self.plans: list[Any] = []

    def cursor(self) -> Explaining:
        return self

    def execute(self, statement: str, parameters: Any) -> Explaining:
        told = self._cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), parameters).fetchone()
        assert told is not None
        plan = told[0][0]["Plan"]
        self.plans.append(plan)
        self.read += sum(_read(step) for step in _steps(plan))
        return self


def _steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _steps(below)


def _read(step: dict[str, Any]) -> float:
    """The rows that a step came by, wanted or not."""
    skipped = sum(number for name, number in step.items() if name.startswith("Rows Removed by"))
    return float((step["Actual Rows"] + skipped) * step["Actual Loops"])


def _image(number: int) -> str:
    return f"{_IMAGES}{number * 100 + 1}"


# What the parameters of that name are, as the text that any type is read from; 1 where nothing is said.
PARAMETERS = {
    "action": "delete",
    "asset_id": "a300",
    "before": str(_LATE),
    "before_id": "rcp_9",
    "deadline": "60",
    "environment": "",
    "lease": "1000",
    "limit": "8",
    "now": str(_LATE),
    "project": "shop",
    "receipt_id": "rcp_00000100",
    "source": "cms",
    "src_image": _image(3),
    "state": "done",
    "urls": "[]",
}

OTHERWISE: dict[str, list[dict[str, str]]] = {
    # A purge that ends is in whichever state it was in.
    "finish_purge": [{"id": f"prg_{was}00000100", "was": was} for was in ("pending", "claimed", "dead")],
    "put_back": [{"id": f"prg_{was}00000100", "was": was, "attempts": "0"} for was in ("claimed", "dead")],
    "bury_lookup": [{"id": "lkp_pending00000100"}],
    "finish_lookup": [{"id": "lkp_claimed00000100"}],
    "put_back_lookup": [{"id": "lkp_claimed00000100", "source": "another"}],
    "learn_asset": [{"asset_id": "new"}],
}

ROWS: dict[str, list[tuple[Any, ...]]] = {
    "absorb_into_pending_deletes": [("shop", _image(n), _LATE, _LATE, 1) for n in range(GROUP)],
    "finish_claimed": [(f"prg_claimed{n * 100 + 1:08}", 0, "done", None) for n in range(GROUP)],
    "insert_attempts": [(f"prg_done{n:08}", "call_1", _LATE, GROUP, 200, "done", "", 20) for n in range(GROUP)],
    "insert_receipts": [
        (f"rcp_9{n}", "cms", bytes(16 - n), "accepted", None, "hmac", "POST", "/", "{}", b"", 0, 1, None, 1, 1, "[]")
        for n in range(GROUP)
    ],
    "keep_traces": [(f"rcp_9{n}", "00-1") for n in range(GROUP)],
    "link_purges": [(f"rcp_9{n}", f"prg_9{n}", "r") for n in range(GROUP)],
    "pending_beside": [(f"prg_9{n}", "shop", _image(n)) for n in range(GROUP)],
    "put_assets": [("cms", "", f"a{n * 100}", "[]", "[]", None, None, 0, None, _LATE) for n in range(GROUP)],
    "recall_assets": [("cms", "", f"a{n * 100}") for n in range(GROUP)],
    "receipts_of_dedupes": [(bytes([n] * 16),) for n in range(GROUP)],
    "traces_of_purges": [(f"prg_done{n:08}",) for n in range(GROUP)],
    "upsert_purges": [
        (f"prg_9{n}", "shop", "delete", _image(n), 60, "pending", _LATE, _LATE, 0, 1) for n in range(GROUP)
    ],
    "upsert_refused_purges": [
        (f"prg_9{n}", "shop", "delete", _image(n), 60, "dead", _LATE, _LATE, 0, 1, _LATE, "long", 1)
        for n in range(GROUP)
    ],
}

ALL_OF_SOMETHING = {
    "bury_orphans": "looks at all that waits for a project that is configured no more, every minute",
    "count_purges": "counts what waits, where somebody scrapes",
    "failing_lookups": "counts what fails, where somebody looks",
    "list_purges": "a listing",
    "list_receipts": "a listing",
}

STATEMENTS = load_statements("postgres")

CASES = [
    pytest.param(name, special, id=f"{name}-{number}" if number else name)
    for name in sorted(set(STATEMENTS) - set(ALL_OF_SOMETHING))
    for number, special in enumerate(OTHERWISE.get(name, [{}]))
]


@pytest.mark.parametrize(("statement", "special"), CASES)
def test_a_statement_reads_no_more_than_it_needs(
    connection: psycopg.Connection[Any], statement: str, special: dict[str, str]
) -> None:
    explaining = Explaining(connection)
    tx = PostgresTx(statements(), explaining)
    with connection.transaction(force_rollback=True):
        if statement in ROWS:
            tx.rows(statement, ROWS[statement], settle=1000, now=_LATE)
        else:
            names = re.findall(r"(?<!:):(\w+)", STATEMENTS[statement])
            tx.run(statement, **{name: special.get(name, PARAMETERS.get(name, "1")) for name in names})
    assert explaining.read <= FEW, explaining.plans


def test_what_reads_everything_is_seen_to(connection: psycopg.Connection[Any]) -> None:
    explaining = Explaining(connection)
    explaining.execute("SELECT id FROM purges WHERE events < %(events)s", {"events": 0})
    assert explaining.read >= FINISHED


@pytest.mark.parametrize("table", ["purges", "lookups"])
def test_what_was_sent_does_not_stay_in_the_indexes_for_long(connection: psycopg.Connection[Any], table: str) -> None:
    """A scan goes past it until the table is vacuumed, and no plan says so."""
    found = connection.execute("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [table]).fetchone()
    assert found is not None
    assert {"autovacuum_vacuum_scale_factor=0.02", "vacuum_index_cleanup=on"} <= set(found[0])
