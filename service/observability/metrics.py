"""Prometheus' text, made when it is asked for: names and units by https://prometheus.io/docs/practices/naming/."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service import __version__
from service.observability.tally import (
    CALL_IMAGES,
    CALL_SECONDS,
    CALLS,
    SECONDS,
    WEBHOOK_SECONDS,
    WEBHOOKS,
    Key,
)

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = {
    WEBHOOKS: ("relay_webhooks", "Requests to a source, by how they ended.", ("source", "verdict", "reason")),
    CALLS: ("relay_vercel_calls", "Calls to Vercel, by how they ended.", ("project", "outcome", "status")),
    CALL_IMAGES: ("relay_vercel_call_images", "Source images in those calls.", ("project",)),
}
_HISTOGRAMS = {
    WEBHOOK_SECONDS: ("relay_webhook_duration_seconds", "From a request's first byte to its answer.", "source"),
    CALL_SECONDS: ("relay_vercel_call_duration_seconds", "From a call to Vercel's answer.", "project"),
}


@dataclass(frozen=True, slots=True)
class Gauge:
    """A state as it is now: one value for each set of labels' values."""

    name: str
    text: str
    labels: tuple[str, ...]
    values: Sequence[tuple[tuple[str, ...], float]]


def exposition(counts: Mapping[Key, float], gauges: Iterable[Gauge]) -> bytes:
    """The whole page."""
    # Imported when the first one asks: it takes longer than all that a webhook needs.
    from prometheus_client.exposition import generate_latest
    from prometheus_client.registry import Collector, CollectorRegistry

    class Once(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _metrics(counts, gauges)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def _metrics(counts: Mapping[Key, float], gauges: Iterable[Gauge]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("relay_build", "The running release.", {"version": __version__})
    for name, (shown, text, labels) in _COUNTERS.items():
        counter = CounterMetricFamily(shown, text, labels=labels)
        for values, count in _of(counts, name):
            counter.add_metric(values, count)
        yield counter
    yield from _histograms(counts)
    for gauge in gauges:
        family = GaugeMetricFamily(gauge.name, gauge.text, labels=gauge.labels)
        for values, value in gauge.values:
            family.add_metric(values, value)
        yield family


def _histograms(counts: Mapping[Key, float]) -> Iterator[Metric]:
    from prometheus_client.core import HistogramMetricFamily

    for name, (shown, text, label) in _HISTOGRAMS.items():
        family = HistogramMetricFamily(shown, text, labels=[label])
        by_label: dict[str, dict[str, float]] = {}
        for (value, place), count in _of(counts, name):
            by_label.setdefault(value, {})[place] = count
        for value, places in by_label.items():
            family.add_metric([value], _buckets(places.get), places.get("sum", 0.0))
        yield family


def _buckets(count_at: Callable[[str, float], float]) -> list[tuple[str, float]]:
    """Cumulative counts up to each bound, as Prometheus has them."""
    found, total = [], 0.0
    for place, bound in enumerate((*SECONDS, "+Inf")):
        total += count_at(str(place), 0.0)
        found.append((str(bound), total))
    return found


def _of(counts: Mapping[Key, float], name: str) -> Iterator[tuple[Key, float]]:
    return ((key[1:], value) for key, value in sorted(counts.items()) if key[0] == name)
