"""How long to wait and how many calls to make at a time; pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from service.domain.clock import EPOCH

Random = Callable[[], float]
"""A number from 0 up to, but not including, 1."""

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(minutes=1)
"""Between two calls of a project while Vercel is in trouble: so soon is it noticed that it is well again."""
STORE_PAUSE = timedelta(seconds=10)
SPREAD = timedelta(seconds=1)

_MOST_DOUBLINGS = 20


def backoff(failures: int, random: Random, longest: timedelta = LONGEST_WAIT) -> timedelta:
    """How long to wait after the `failures`-th failure in a row: exponential with full jitter.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random() * min(longest, FIRST_WAIT * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))


def spread(moment: datetime, random: Random) -> datetime:
    """A little after `moment`: those who wait for the same one do not all start at once."""
    return moment + random() * SPREAD


class Pace(Struct, frozen=True):
    """How fast one project's calls may follow each other.

    After a call that failed for the time being (`failures` of them in a row) they go one at a time, none of them before
    `not_before`, so that Vercel in trouble is not called for everything that waits. The first answer lifts it.
    """

    failures: int = 0
    failed_at: datetime = EPOCH
    not_before: datetime = EPOCH
    limit: datetime = EPOCH

    def room(self, calls: int, most: int) -> bool:
        """Whether another call may go beside the `calls` that are under way."""
        return calls < (1 if self.failures else most)

    def failed(self, begun: datetime, now: datetime, retry_at: datetime | None, random: Random) -> Self:
        """After a call made at `begun` failed; calls that were under way together count as one failure."""
        asked = EPOCH if retry_at is None else spread(retry_at, random)
        if begun < self.failed_at:
            return replace(self, not_before=max(self.not_before, asked))
        failures = self.failures + 1
        wait_until = now + backoff(failures, random, LONGEST_PAUSE)
        return replace(self, failures=failures, failed_at=now, not_before=max(self.not_before, wait_until, asked))

    def limited(self, until: datetime, random: Random) -> Self:
        """While the credential's rate budget is used up; afterwards one call goes first."""
        if until == self.limit:
            return self
        return replace(
            self, failures=max(1, self.failures), not_before=max(self.not_before, spread(until, random)), limit=until
        )
