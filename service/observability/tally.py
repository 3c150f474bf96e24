"""What happened, counted: in memory, and shared among the workers of one address by a file each."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

Key = tuple[str, ...]
"""A metric's name, then the values of its labels."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets of durations; what took longer falls into one more."""

WEBHOOKS, WEBHOOK_SECONDS = "webhooks", "webhook_seconds"
CALLS, CALL_SECONDS, CALL_IMAGES = "calls", "call_seconds", "call_images"

_decode = msgspec.json.Decoder(list[tuple[list[str], float]]).decode
_encode = msgspec.json.Encoder().encode


class Tally:
    """The counts of one process. Labels have few values: names of the settings, and words of the program."""

    def __init__(self) -> None:
        self.counts: dict[Key, float] = defaultdict(float)

    def webhook(self, source: str, verdict: str, reason: str | None, seconds: float) -> None:
        """A request to a source was answered."""
        self.counts[WEBHOOKS, source, verdict, reason or ""] += 1
        self._took(WEBHOOK_SECONDS, source, seconds)

    def call(self, project: str, outcome: str, status: int | None, images: int, seconds: float) -> None:
        """A call to Vercel ended."""
        self.counts[CALLS, project, outcome, "none" if status is None else str(status)] += 1
        self.counts[CALL_IMAGES, project] += images
        self._took(CALL_SECONDS, project, seconds)

    def _took(self, name: str, label: str, seconds: float) -> None:
        self.counts[name, label, "sum"] += seconds
        self.counts[name, label, str(bisect_left(SECONDS, seconds))] += 1


class SharedTally:
    """The counts of all workers: each writes its own into a folder, and reads those of the others there."""

    def __init__(self, tally: Tally, folder: Path | None) -> None:
        self._tally = tally
        self._folder = folder
        self._written: dict[Key, float] = {}

    def write(self) -> None:
        """Let the others see this worker's counts; does nothing where there are no others, or nothing new."""
        if self._folder is None or self._written == self._tally.counts:
            return
        self._written = dict(self._tally.counts)
        path = self._folder / f"{os.getpid()}.new"
        path.write_bytes(_encode([(list(key), value) for key, value in self._written.items()]))
        path.replace(self._folder / f"{os.getpid()}.json")

    def total(self) -> Mapping[Key, float]:
        """The sums over all workers, also those that are gone; of the others as they were a moment ago."""
        total = defaultdict(float, self._tally.counts)
        for path in () if self._folder is None else self._folder.glob("*.json"):
            if path.stem == str(os.getpid()):
                continue
            with suppress(OSError, msgspec.MsgspecError):  # its worker is just writing it anew
                for key, value in _decode(path.read_bytes()):
                    total[tuple(key)] += value
        return total
