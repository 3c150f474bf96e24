"""Prometheus' text, made when it is asked for: names and units by https://prometheus.io/docs/practices/naming/."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from service import __version__
from service.observability.tally import (
    CALL_IMAGES,
    CALL_SECONDS,
    CALLS,
    COMMIT_JOBS,
    COMMIT_SECONDS,
    FINISHED,
    PURGE_SECONDS,
    PURGED_EVENTS,
    QUOTA_LEFT,
    SECONDS,
    SIZES,
    WAITS,
    WEBHOOK_SECONDS,
    WEBHOOKS,
    Key,
    Said,
)

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = {
    WEBHOOKS: ("relay_webhooks", "Requests to a source, by how they ended.", ("source", "verdict", "reason")),
    CALLS: ("relay_vercel_calls", "Calls to Vercel, by how they ended.", ("project", "outcome", "status")),
    CALL_IMAGES: ("relay_vercel_call_images", "Source images in those calls.", ("project",)),
    FINISHED: ("relay_purges_finished", "Purges that Vercel was told of, or that died.", ("project", "state")),
    PURGED_EVENTS: ("relay_purged_events", "Events that the done purges stand for.", ("project",)),
}
_HISTOGRAMS = {
    WEBHOOK_SECONDS: (
        "relay_webhook_duration_seconds",
        "From a request's first byte to its answer.",
        ("source", "acknowledged"),
        SECONDS,
    ),
    CALL_SECONDS: ("relay_vercel_call_duration_seconds", "From a call to Vercel's answer.", ("project",), SECONDS),
    PURGE_SECONDS: (
        "relay_purge_duration_seconds",
        "From a purge's first event to Vercel's 2xx, settling included.",
        ("project",),
        WAITS,
    ),
    COMMIT_SECONDS: ("relay_store_commit_duration_seconds", "From a transaction's begin to the disk.", (), SECONDS),
    COMMIT_JOBS: ("relay_store_commit_jobs", "Webhooks and other jobs that shared a transaction.", (), SIZES),
}
_LATEST = {
    QUOTA_LEFT: (
        "relay_vercel_rate_limit_remaining",
        "Calls left, as Vercel's latest answer with X-RateLimit-Remaining said.",
        ("project",),
    ),
}


class Gauge(Struct, frozen=True):
    """A state as it is now: one value for each set of labels' values."""

    name: str
    text: str
    labels: tuple[str, ...]
    values: Sequence[tuple[tuple[str, ...], float]]


def exposition(
    counts: Mapping[Key, float],
    gauges: Iterable[Gauge],
    *,
    latest: Mapping[Key, Said] | None = None,
    commit: str | None = None,
    processes: Sequence[int] = (),
) -> bytes:
    """The whole page. `commit` is what the release was made from, `processes` are those that it speaks for."""
    # Imported when the first one asks: it takes longer than all that a webhook needs.
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector, CollectorRegistry

    class Once(Collector):
        def collect(self) -> Iterator[Metric]:
            yield _build(commit)
            yield from _metrics(counts, latest or {}, gauges)
            yield from _of_processes(processes)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def _build(commit: str | None) -> Metric:
    from prometheus_client.core import InfoMetricFamily

    return InfoMetricFamily("relay_build", "The running release.", {"version": __version__, "commit": commit or ""})


def _metrics(counts: Mapping[Key, float], latest: Mapping[Key, Said], gauges: Iterable[Gauge]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, (shown, text, labels) in _COUNTERS.items():
        counter = CounterMetricFamily(shown, text, labels=labels)
        for values, count in _of(counts, name):
            counter.add_metric(values, count)
        yield counter
    yield from _histograms(counts)
    said = [
        Gauge(shown, text, labels, [(key[1:], one.value) for key, one in sorted(latest.items()) if key[0] == name])
        for name, (shown, text, labels) in _LATEST.items()
    ]
    for gauge in (*said, *gauges):
        family = GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels)
        for labels_values, value in gauge.values:
            family.add_metric(labels_values, value)
        yield family


def _histograms(counts: Mapping[Key, float]) -> Iterator[Metric]:
    from prometheus_client.core import HistogramMetricFamily

    for name, (shown, text, labels, bounds) in _HISTOGRAMS.items():
        family = HistogramMetricFamily(shown, text, labels=labels)
        by_labels: dict[Key, dict[str, float]] = {}
        for (*values, place), count in _of(counts, name):
            by_labels.setdefault(tuple(values), {})[place] = count
        for labels_values, places in by_labels.items():
            family.add_metric(labels_values, _buckets(bounds, places.get), places.get("sum", 0.0))
        yield family


def _buckets(bounds: Sequence[float], count_at: Callable[[str, float], float]) -> list[tuple[str, float]]:
    """Cumulative counts up to each bound, as Prometheus has them."""
    found, total = [], 0.0
    for place, bound in enumerate((*bounds, "+Inf")):
        total += count_at(str(place), 0.0)
        found.append((str(bound), total))
    return found


def _of(counts: Mapping[Key, float], name: str) -> Iterator[tuple[Key, float]]:
    return ((key[1:], value) for key, value in sorted(counts.items()) if key[0] == name)


def _of_processes(processes: Sequence[int]) -> Iterator[Metric]:
    """What the kernel knows of the processes, in prometheus-client's own names: sums over those that are alive, but for
    limits and times of start, of which the least counts."""
    from prometheus_client.process_collector import ProcessCollector
    from prometheus_client.registry import CollectorRegistry

    found: dict[str, tuple[Metric, list[float]]] = {}
    for process in processes:
        collector = ProcessCollector(pid=lambda process=process: process, registry=CollectorRegistry())  # type: ignore[misc]
        for metric in collector.collect():
            found.setdefault(metric.name, (metric, []))[1].append(metric.samples[0].value)
    for name, (metric, values) in found.items():
        least = name in ("process_max_fds", "process_start_time_seconds")
        metric.samples[0] = metric.samples[0]._replace(value=min(values) if least else sum(values))
        yield metric
