"""What happened, counted: in memory, and shared among the workers of one address by a file each."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from time import time
from typing import NamedTuple

import msgspec

Key = tuple[str, ...]
"""A metric's name, then the values of its labels."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of durations; what took longer falls into one more."""

WAITS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0, 259200.0)
"""The same for what may wait on purpose, or for a project on hold."""

SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""The same for how many share a transaction."""

WEBHOOKS, WEBHOOK_SECONDS = "webhooks", "webhook_seconds"
CALLS, CALL_SECONDS, CALL_IMAGES = "calls", "call_seconds", "call_images"
FINISHED, PURGED_EVENTS, PURGE_SECONDS = "finished", "purged_events", "purge_seconds"
COMMIT_SECONDS, COMMIT_JOBS = "commit_seconds", "commit_jobs"
QUOTA_LEFT = "quota_left"

OTHER = "other"
"""The label of what came when there were as many labels as may be."""

_SERIES = 128  # of one source or project and one metric: more than there are reasons, verdicts and statuses in use
_ACKNOWLEDGED = frozenset({"accepted", "duplicate", "ignored", "unmatched", "test"})

_BUCKETS = tuple(str(number) for number in range(1 + max(map(len, (SECONDS, WAITS, SIZES)))))
"""A bucket's label by its number; spelled once, not for each webhook."""


class Said(NamedTuple):
    """A number that somebody told us, and when (seconds since the epoch)."""

    at: float
    value: float


class _File(msgspec.Struct):
    """What a worker lets the others see."""

    counts: list[tuple[list[str], float]]
    latest: list[tuple[list[str], float, float]]


_decode = msgspec.json.Decoder(_File).decode
_encode = msgspec.json.Encoder().encode


class Tally:
    """The counts of one process. Labels have few values: names of the settings, and words of the program. A word that
    is not, by whatever mistake, is counted as `other` once there are too many."""

    def __init__(self, sources: Iterable[str] = (), projects: Iterable[str] = ()) -> None:
        """What can be foreseen is there from the start, as 0: a rate needs a value before the first event."""
        self.counts: dict[Key, float] = defaultdict(float)
        self.latest: dict[Key, Said] = {}
        self._series: dict[tuple[str, str], int] = defaultdict(int)
        for source in sources:
            self.counts[WEBHOOKS, source, "accepted", ""] = 0.0
        for project in projects:
            self.counts[CALLS, project, "done", "200"] = 0.0
            self.counts[FINISHED, project, "done"] = 0.0
            self.counts[FINISHED, project, "dead"] = 0.0

    def webhook(self, source: str, verdict: str, reason: str | None, seconds: float) -> None:
        """A request to a source was answered."""
        self._count(WEBHOOKS, source, verdict, reason or "")
        self._took(WEBHOOK_SECONDS, source, "true" if verdict in _ACKNOWLEDGED else "false", seconds)

    def call(self, project: str, outcome: str, status: int | None, images: int, seconds: float) -> None:
        """A call to Vercel ended."""
        self._count(CALLS, project, outcome, "none" if status is None else str(status))
        self.counts[CALL_IMAGES, project] += images
        counts = self.counts
        counts[CALL_SECONDS, project, "sum"] += seconds
        counts[CALL_SECONDS, project, _BUCKETS[bisect_left(SECONDS, seconds)]] += 1

    def quota_left(self, project: str, left: int) -> None:
        """Vercel said how many calls the credential of a project has left."""
        self.latest[QUOTA_LEFT, project] = Said(time(), left)

    def finished(self, project: str, state: str, events: int, seconds: float) -> None:
        """A purge ended `done` or `dead` so long after its first event; `events` are those it stands for."""
        counts = self.counts
        counts[FINISHED, project, state] += 1
        if state == "done":
            counts[PURGED_EVENTS, project] += events
            counts[PURGE_SECONDS, project, "sum"] += seconds
            counts[PURGE_SECONDS, project, _BUCKETS[bisect_left(WAITS, seconds)]] += 1

    def committed(self, jobs: int, seconds: float) -> None:
        """A transaction is on disk. Told by the thread that writes: it alone touches these counts."""
        counts = self.counts
        counts[COMMIT_SECONDS, "sum"] += seconds
        counts[COMMIT_SECONDS, _BUCKETS[bisect_left(SECONDS, seconds)]] += 1
        counts[COMMIT_JOBS, "sum"] += jobs
        counts[COMMIT_JOBS, _BUCKETS[bisect_left(SIZES, jobs)]] += 1

    def _count(self, name: str, owner: str, first: str, second: str) -> None:
        key = (name, owner, first, second)
        if key not in self.counts:
            if self._series[name, owner] >= _SERIES:
                key = (name, owner, OTHER, OTHER)
            else:
                self._series[name, owner] += 1
        self.counts[key] += 1

    def _took(self, name: str, owner: str, label: str, seconds: float) -> None:
        self.counts[name, owner, label, "sum"] += seconds
        self.counts[name, owner, label, _BUCKETS[bisect_left(SECONDS, seconds)]] += 1


class SharedTally:
    """The counts of all workers: each writes its own into a folder, and reads those of the others there."""

    def __init__(self, tally: Tally, folder: Path | None) -> None:
        self._tally = tally
        self._folder = folder
        self._written: tuple[dict[Key, float], dict[Key, Said]] | None = None

    def write(self) -> None:
        """Let the others see this worker's counts; does nothing where there are no others, or nothing new."""
        # Copies, each made in one step: another thread counts meanwhile.
        present = dict(self._tally.counts), dict(self._tally.latest)
        if self._folder is None or self._written == present:
            return
        self._written = present
        counts, latest = present
        told = _File(
            [(list(key), value) for key, value in counts.items()],
            [(list(key), *said) for key, said in latest.items()],
        )
        path = self._folder / f"{os.getpid()}.new"
        path.write_bytes(_encode(told))
        path.replace(self._folder / f"{os.getpid()}.json")

    def total(self) -> tuple[Mapping[Key, float], Mapping[Key, Said]]:
        """The sums over all workers, also those that are gone, and what was said last to any of them; of the others as
        they were a moment ago."""
        counts, latest = defaultdict(float, self._tally.counts), dict(self._tally.latest)
        for path in self._files():
            if path.stem == str(os.getpid()):
                continue
            with suppress(OSError, msgspec.MsgspecError):  # its worker is just writing it anew
                told = _decode(path.read_bytes())
                for key, value in told.counts:
                    counts[tuple(key)] += value
                for key, at, value in told.latest:
                    latest[tuple(key)] = max(Said(at, value), latest.get(tuple(key), Said(at, value)))
        return counts, latest

    def workers(self) -> list[int]:
        """The process ids of all workers there have been, this one's among them."""
        return sorted({os.getpid(), *(int(path.stem) for path in self._files() if path.stem.isdecimal())})

    def _files(self) -> Iterable[Path]:
        return () if self._folder is None else self._folder.glob("*.json")
