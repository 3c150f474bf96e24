"""Identifiers: their form, their order, and that no two are the same."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from service.domain.ids import first_id, new_id

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def test_the_form() -> None:
    assert re.fullmatch(r"rcp_[0-9a-hjkmnp-tv-z]{26}", new_id("rcp", NOW))


def test_within_a_millisecond_they_keep_the_order_they_were_made_in() -> None:
    made = [new_id("prg", NOW) for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == 5000


def test_they_sort_by_time_whatever_was_made_before() -> None:
    later, earlier = new_id("rcp", NOW), new_id("rcp", NOW - timedelta(milliseconds=1))
    assert earlier < first_id("rcp", NOW) <= later < first_id("rcp", NOW + timedelta(milliseconds=1))


def test_threads_do_not_meet() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: new_id("rcp", NOW), range(4000)))
    assert len(set(made)) == 4000
