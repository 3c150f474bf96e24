"""Answers of a moment ago: many assets may be asked for at one address."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from service.domain.lookups import Fetched

FRESH = timedelta(seconds=5)
MOST = 64
"""Answers kept at most."""
LARGEST = 64 * 1024
"""Bytes of a body that is kept: what is known of one asset has a few thousand."""

_OK = 200


class Answers:
    """The latest good answers by source and address."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[datetime, Fetched]] = OrderedDict()

    def put(self, source: str, url: str, asked_at: datetime, fetched: Fetched) -> None:
        """Keep a good answer to a question that was put at that time."""
        if fetched.status == _OK and len(fetched.body) <= LARGEST:
            self._kept[source, url] = asked_at, fetched
            self._kept.move_to_end((source, url))
            if len(self._kept) > MOST:
                self._kept.popitem(last=False)

    def get(self, source: str, url: str, changed_at: datetime, now: datetime) -> Fetched | None:
        """An answer to a question that was put after `changed_at`: an earlier one may not know of the change."""
        asked_at, fetched = self._kept.get((source, url), (None, None))
        if asked_at is None or asked_at <= changed_at or now - asked_at > FRESH:
            return None
        return fetched
