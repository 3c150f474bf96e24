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
from service.observability.gauges import COUNTED_EVERY, AssetCount, gauges
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
    assert found[f"relay_build_info{{commit=,version={__version__}}}"] == 1
    assert found["relay_webhooks_total{reason=,source=cms,verdict=accepted}"] == 2
    assert found["relay_webhooks_total{reason=signature_mismatch,source=cms,verdict=refused}"] == 1
    assert found["relay_webhook_duration_seconds_bucket{acknowledged=true,le=0.001,source=cms}"] == 1
    assert found["relay_webhook_duration_seconds_bucket{acknowledged=true,le=0.1,source=cms}"] == 1
    assert found["relay_webhook_duration_seconds_bucket{acknowledged=true,le=0.25,source=cms}"] == 2
    assert found["relay_webhook_duration_seconds_bucket{acknowledged=true,le=10.0,source=cms}"] == 2
    assert found["relay_webhook_duration_seconds_bucket{acknowledged=true,le=+Inf,source=cms}"] == 2
    assert found["relay_webhook_duration_seconds_bucket{acknowledged=false,le=10.0,source=cms}"] == 0
    assert found["relay_webhook_duration_seconds_count{acknowledged=false,source=cms}"] == 1
    assert found["relay_webhook_duration_seconds_sum{acknowledged=true,source=cms}"] == pytest.approx(0.201)
    assert found["relay_vercel_calls_total{outcome=done,project=shop,status=200}"] == 1
    assert found["relay_vercel_calls_total{outcome=transient,project=shop,status=none}"] == 1
    assert found["relay_vercel_call_images_total{project=shop}"] == 10
    assert found["relay_vercel_call_duration_seconds_count{project=shop}"] == 2


def test_purges_and_commits() -> None:
    tally = Tally(["cms"], ["shop"])
    found = samples(exposition(tally.counts, ()))
    assert found["relay_webhooks_total{reason=,source=cms,verdict=accepted}"] == 0, "there before the first event"
    assert found["relay_purges_finished_total{project=shop,state=dead}"] == 0
    tally.finished("shop", "done", 40, 12)
    tally.finished("shop", "dead", 2, 500_000)
    tally.committed(1, 0.0005)
    tally.committed(128, 0.02)
    found = samples(exposition(tally.counts, ()))
    assert found["relay_purges_finished_total{project=shop,state=done}"] == 1
    assert found["relay_purges_finished_total{project=shop,state=dead}"] == 1
    assert found["relay_purged_events_total{project=shop}"] == 40, "of the dead nothing was purged"
    assert found["relay_purge_duration_seconds_bucket{le=10.0,project=shop}"] == 0
    assert found["relay_purge_duration_seconds_bucket{le=30.0,project=shop}"] == 1
    assert found["relay_store_commit_duration_seconds_count{}"] == 2
    assert found["relay_store_commit_duration_seconds_bucket{le=0.001}"] == 1
    assert found["relay_store_commit_jobs_bucket{le=1.0}"] == 1
    assert found["relay_store_commit_jobs_bucket{le=64.0}"] == 1
    assert found["relay_store_commit_jobs_bucket{le=128.0}"] == 2
    assert found["relay_store_commit_jobs_sum{}"] == 129


def test_what_vercel_said_last_to_any_worker_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Tally(), Tally()
    shared = [SharedTally(tally, tmp_path) for tally in (first, second)]
    for number, (tally, left) in enumerate(((first, 90), (second, 7))):
        monkeypatch.setattr(os, "getpid", lambda number=number: 100 + number)
        monkeypatch.setattr("service.observability.tally.time", lambda number=number: 1000.0 + number)
        tally.quota_left("shop", left)
        shared[number].write()
    for number in (0, 1):
        monkeypatch.setattr(os, "getpid", lambda number=number: 100 + number)
        counts, latest = shared[number].total()
        found = samples(exposition(counts, (), latest=latest))
        assert found["relay_vercel_rate_limit_remaining{project=shop}"] == 7
        assert shared[number].workers() == [100, 101]


def test_labels_are_few_whatever_comes() -> None:
    tally = Tally()
    for number in range(10_000):
        tally.webhook("cms", "refused", f"made up {number}", 0.001)
        tally.call("shop", f"made up {number}", number, 1, 0.1)
    tally.webhook("other", "accepted", None, 0.001)
    found = samples(exposition(tally.counts, ()))
    assert len(found) < 400
    assert found["relay_webhooks_total{reason=other,source=cms,verdict=other}"] == 10_000 - 128
    assert sum(value for name, value in found.items() if name.startswith("relay_webhooks_total")) == 10_001
    assert found["relay_webhooks_total{reason=,source=other,verdict=accepted}"] == 1, "another's flood is its own"


def test_what_the_kernel_knows_of_every_process() -> None:
    own = samples(exposition({}, (), processes=[os.getpid()]))
    both = samples(exposition({}, (), processes=[os.getpid(), os.getpid(), 2**22 + 1]))  # one that is gone
    assert both["process_open_fds{}"] >= 2 * own["process_open_fds{}"] - 2
    assert both["process_max_fds{}"] == own["process_max_fds{}"]
    assert both["process_start_time_seconds{}"] == own["process_start_time_seconds{}"]
    assert own["process_resident_memory_bytes{}"] > 1e6
    assert "process_cpu_seconds_total{}" in own


class Assets:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None

    async def remembered(self) -> int:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return 5 * self.asked


async def test_assets_are_counted_beside_a_scrape_and_seldom() -> None:
    assets = Assets()
    count = AssetCount(assets)

    async def seen(now: datetime) -> list[float]:
        found = [value for _, value in count.gauge(now).values]
        await asyncio.sleep(0)
        return found

    assert await seen(NOW) == [], "the first scrape does not wait for it"
    assert await seen(NOW) == [5]
    assert await seen(NOW + COUNTED_EVERY - timedelta(seconds=1)) == [5]
    assert assets.asked == 1
    assert await seen(NOW + COUNTED_EVERY) == [5]
    assert await seen(NOW + COUNTED_EVERY) == [10]
    assets.error = StoreUnavailable("gone")
    assert await seen(NOW + 2 * COUNTED_EVERY) == [10]
    assets.error = None
    assert await seen(NOW + 2 * COUNTED_EVERY) == [10], "asked again at once, since there was no answer"
    assert await seen(NOW + 2 * COUNTED_EVERY) == [20]
    await count.close()


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
    assert shared[2].total()[0]["webhooks", "cms", "accepted", ""] == 4
    (tmp_path / "999.json").write_bytes(b"{half of i")
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir())
    shared[2].write()
    assert shared[2].total()[0]["webhooks", "cms", "accepted", ""] == 4
    written = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir())
    assert written != before
    shared[2].write()
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir()) == written, "nothing new, no write"


def test_a_process_of_its_own_shares_with_nobody() -> None:
    tally = Tally()
    shared = SharedTally(tally, None)
    tally.call("shop", "done", 200, 1, 0.1)
    shared.write()
    assert shared.total() == (tally.counts, {})
    assert shared.workers() == [os.getpid()]


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
