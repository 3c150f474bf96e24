"""How often a source may speak: a bucket of tokens that refills steadily. Pure: the clock is a parameter."""

from __future__ import annotations

from datetime import datetime

from service.settings.model import Source
from service.settings.quota import parse_quota


class Bucket:
    """At most `count` requests at once, and `count` every `seconds` over time."""

    def __init__(self, count: int, seconds: int) -> None:
        self._count = float(count)
        self._rate = count / seconds
        self._tokens = self._count
        self._seen: datetime | None = None

    @classmethod
    def of(cls, source: Source) -> Bucket | None:
        """The bucket of a source's `quota`, None where it has none."""
        return None if source.quota is None else cls(*parse_quota(source.quota))

    def take(self, now: datetime) -> float:
        """0 where a request may pass, which takes a token; else the seconds until one may."""
        if self._seen is not None:
            elapsed = max(0.0, (now - self._seen).total_seconds())  # a clock set back refills nothing
            self._tokens = min(self._count, self._tokens + elapsed * self._rate)
        self._seen = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate
