"""What becomes of purges after a call: Vercel's answer → a decision → a settlement for each; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from service.dispatch.limits import Random, backoff, spread
from service.domain.attempts import Settlement
from service.domain.batches import Batch
from service.domain.outcomes import Outcome, OutcomeKind
from service.domain.purges import Purge, PurgeState

SUSPICIOUS_ATTEMPTS = 3
"""So often may a batch fail as one before its images go their own ways: one of them may be what makes Vercel fail."""

_TOO_MANY_REQUESTS = 429


class Done(Struct, frozen=True):
    """Vercel has dropped the images."""

    warning: str | None = None


class Split(Struct, frozen=True):
    """One of the images is refused, and only by halving the batch can it be told which."""

    reason: str


class Dead(Struct, frozen=True):
    """This image will never be accepted."""

    reason: str


class Retry(Struct, frozen=True):
    """Not now: `at` has the next time of each purge of the batch."""

    at: tuple[datetime, ...]
    reason: str


class Hold(Struct, frozen=True):
    """Nothing of this project will be accepted until somebody changes something."""

    reason: str


Decision = Done | Split | Dead | Retry | Hold


def decide(outcome: Outcome, batch: Batch[Purge], now: datetime, random: Random) -> Decision:
    """What an answer to a call for this batch means for it."""
    match outcome.kind:
        case OutcomeKind.DONE:
            return Done(outcome.warning)
        case OutcomeKind.INVALID:
            return Split(outcome.reason) if len(batch.purges) > 1 else Dead(outcome.reason)
        case OutcomeKind.TRANSIENT:
            return Retry(_next_times(outcome, batch, now, random), outcome.reason)
    return Hold(outcome.reason)


def settlements(
    decision: Decision, batch: Batch[Purge], now: datetime, *, max_age: timedelta, counted_from: datetime
) -> list[Settlement]:
    """What becomes of each purge; nothing yet for a batch that is split.

    A purge that has been failing for `max_age` is dead; what lies before `counted_from` does not count.
    """
    match decision:
        case Done(warning):
            return [Settlement(purge=purge, state=PurgeState.DONE, last_error=warning) for purge in batch.purges]
        case Split():
            return []
        case Dead(reason):
            return [Settlement(purge=purge, state=PurgeState.DEAD, last_error=reason) for purge in batch.purges]
        case Hold(reason):
            return [
                Settlement(purge=purge, state=PurgeState.PENDING, last_error=reason, due_at=purge.due_at)
                for purge in batch.purges
            ]
    retried: list[Settlement] = []
    for purge, due_at in zip(batch.purges, decision.at, strict=True):
        since = max(counted_from, purge.failing_since or now)
        expired, reason = now - since >= max_age, decision.reason
        retried.append(_expired(purge, reason, max_age) if expired else _again(purge, reason, due_at, since))
    return retried


def halves(batch: Batch[Purge]) -> tuple[Batch[Purge], Batch[Purge]]:
    """A batch of two or more in two calls."""
    middle = len(batch.purges) // 2
    first, second = batch.purges[:middle], batch.purges[middle:]
    return (
        Batch(batch.project, batch.action, batch.deadline, first),
        Batch(batch.project, batch.action, batch.deadline, second),
    )


def _next_times(outcome: Outcome, batch: Batch[Purge], now: datetime, random: Random) -> tuple[datetime, ...]:
    """One time for the whole batch, so that it stays one call; scattered once its images are suspicious."""
    earliest = now if outcome.retry_at is None else max(now, spread(outcome.retry_at, random))
    failures = [_failures(purge) for purge in batch.purges]
    if min(failures) >= SUSPICIOUS_ATTEMPTS and outcome.status != _TOO_MANY_REQUESTS:
        return tuple(earliest + backoff(count, random) for count in failures)
    together = max(earliest, now + backoff(max(failures), random))
    return (together,) * len(batch.purges)


def _failures(purge: Purge) -> int:
    """How many calls in a row have failed, the last one included."""
    return 1 if purge.failing_since is None else max(1, purge.attempts)


def _again(purge: Purge, reason: str, due_at: datetime, failing_since: datetime) -> Settlement:
    return Settlement(
        purge=purge, state=PurgeState.PENDING, last_error=reason, due_at=due_at, failing_since=failing_since
    )


def _expired(purge: Purge, reason: str, max_age: timedelta) -> Settlement:
    return Settlement(purge=purge, state=PurgeState.DEAD, last_error=aged(reason, max_age))


def aged(reason: str, max_age: timedelta) -> str:
    """Why there is no further try after one that failed for this reason."""
    hours = max_age / timedelta(hours=1)
    time = f"{hours:g} h" if hours >= 1 else f"{hours * 60:g} min"
    return f"still failing after {time}: {reason}"
