"""Prometheus' text: what is counted, what is read from the store, and that its own parser takes it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import __version__
from service.domain.errors import StoreUnavailable
from service.domain.lookups import Failing
from service.domain.purges import PurgeState
from service.observability import gauges as states
from service.observability.gauges import gauges
from service.observability.metrics import Gauge, exposition
from service.observability.tally import SharedTally, Tally

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def samples(text: bytes) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus' own parser reads them."""
    return {
        f"{one.name}{{{','.join(f'{name}={value}' for name, value in sorted(one.labels.items()))}}}": one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }


def test_what_was_counted() -> None:
    tally = Tally()
    tally.webhook("cms", "accepted", None, 0.001)
    tally.webhook("cms", "accepted", None, 0.2)
    tally.webhook("cms", "refused", "signature_mismatch", 60)
    tally.call("shop", "done", 200, 8, 0.3)
    tally.call("shop", "transient", None, 2, 20)
    found = samples(exposition(tally.counts, ()))
    assert found[f"relay_build_info{{version={__version__}}}"] == 1
    assert found["relay_webhooks_total{reason=,source=cms,verdict=accepted}"] == 2
    assert found["relay_webhooks_total{reason=signature_mismatch,source=cms,verdict=refused}"] == 1
    assert found["relay_webhook_duration_seconds_bucket{le=0.001,source=cms}"] == 1
    assert found["relay_webhook_duration_seconds_bucket{le=0.1,source=cms}"] == 1
    assert found["relay_webhook_duration_seconds_bucket{le=0.25,source=cms}"] == 2
    assert found["relay_webhook_duration_seconds_bucket{le=10.0,source=cms}"] == 2
    assert found["relay_webhook_duration_seconds_bucket{le=+Inf,source=cms}"] == 3
    assert found["relay_webhook_duration_seconds_count{source=cms}"] == 3
    assert found["relay_webhook_duration_seconds_sum{source=cms}"] == pytest.approx(60.201)
    assert found["relay_vercel_calls_total{outcome=done,project=shop,status=200}"] == 1
    assert found["relay_vercel_calls_total{outcome=transient,project=shop,status=none}"] == 1
    assert found["relay_vercel_call_images_total{project=shop}"] == 10
    assert found["relay_vercel_call_duration_seconds_count{project=shop}"] == 2


def test_a_gauge() -> None:
    found = samples(exposition({}, [Gauge("relay_x", "An x.", ("a",), [(("1",), 2.0)])]))
    assert found["relay_x{a=1}"] == 2


def test_workers_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tallies = [Tally() for _ in range(3)]
    shared = [SharedTally(tally, tmp_path) for tally in tallies]
    for number, (tally, one) in enumerate(zip(tallies, shared, strict=True)):
        monkeypatch.setattr(os, "getpid", lambda number=number: 100 + number)
        tally.webhook("cms", "accepted", None, 0.01)
        one.write()
        tally.webhook("cms", "accepted", None, 0.01)  # its own are there at once, those of others once written
    assert shared[2].total()["webhooks", "cms", "accepted", ""] == 4
    (tmp_path / "999.json").write_bytes(b"{half of i")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir())
    shared[2].write()
    assert shared[2].total()["webhooks", "cms", "accepted", ""] == 4
    written = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir())
    assert written != before
    shared[2].write()
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir()) == written, "nothing new, no write"


def test_a_process_of_its_own_shares_with_nobody() -> None:
    tally = Tally()
    shared = SharedTally(tally, None)
    tally.call("shop", "done", 200, 1, 0.1)
    shared.write()
    assert shared.total() == tally.counts


@dataclass(frozen=True)
class Backlog:
    project: str
    state: PurgeState
    purges: int
    oldest: datetime


class Store:
    """Says what it is told to, or fails."""

    def __init__(self, *backlog: Backlog, error: Exception | None = None) -> None:
        self._backlog = backlog
        self._error = error

    async def backlog(self) -> Sequence[Backlog]:
        if self._error is not None:
            raise self._error
        return self._backlog

    async def holds(self) -> Mapping[str, object]:
        return {"shop": "403"}

    async def failing(self) -> Sequence[Failing]:
        return [Failing(source="cms", lookups=3, reason="503")]


async def test_what_the_store_says() -> None:
    store = Store(
        Backlog("shop", PurgeState.PENDING, 7, NOW - timedelta(seconds=90)),
        Backlog("shop", PurgeState.DEAD, 2, NOW - timedelta(days=1)),
        Backlog("gone", PurgeState.PENDING, 1, NOW),
    )
    found = samples(exposition({}, await gauges(store, store, store, ["blog", "shop"], NOW)))
    assert found["relay_store_up{}"] == 1
    assert found["relay_purges{project=shop,state=pending}"] == 7
    assert found["relay_purges{project=shop,state=dead}"] == 2
    assert found["relay_purges{project=blog,state=pending}"] == 0
    assert found["relay_purges{project=gone,state=pending}"] == 1
    assert found["relay_oldest_pending_purge_age_seconds{project=shop}"] == 90
    assert found["relay_oldest_pending_purge_age_seconds{project=blog}"] == 0
    assert (found["relay_project_held{project=shop}"], found["relay_project_held{project=blog}"]) == (1, 0)
    assert found["relay_failing_lookups{source=cms}"] == 3


class Silent(Store):
    """Never answers."""

    async def backlog(self) -> Sequence[Backlog]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@pytest.mark.parametrize("store", [Store(error=StoreUnavailable("gone")), Silent()])
async def test_a_store_that_does_not_answer_is_a_value_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "_SECONDS", 0.01)
    assert samples(exposition({}, await gauges(store, store, store, ["shop"], NOW)))["relay_store_up{}"] == 0
