"""What becomes of a lookup after a GET: the answer → a decision; pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct

from service.dispatch.limits import Random, backoff, spread
from service.dispatch.policy import aged
from service.domain.errors import RelayError
from service.domain.lookups import Fetched, Lookup, LookupEnd, LookupSettlement, LookupState

_OK = 200
_CREDENTIAL = (401, 402, 403)
_GONE = (404, 410)
_TRANSIENT = (408, 425, 429)
_SERVER_ERRORS = range(500, 600)
_REDIRECTS = range(300, 400)


class Dead(Struct, frozen=True):
    """The API will never answer this."""

    reason: str


class Later(Struct, frozen=True):
    """Not now; at another address where the answer itself named that."""

    at: datetime
    reason: str
    url: str | None = None


class Held(Struct, frozen=True):
    """The API answers nobody with these headers: until somebody changes something."""

    reason: str


Decision = LookupEnd | Dead | Later | Held
Read = Callable[[bytes], tuple[str, ...]]
"""The URLs in a 200's body; raises RelayError where it is no answer."""


def decide(fetched: Fetched, lookup: Lookup, read: Read, now: datetime, random: Random) -> Decision:
    """What one answer means."""
    status = fetched.status
    if status == _OK and fetched.too_large:
        return Dead("the answer is larger than is read")
    if status == _OK:
        try:
            urls = read(fetched.body)
        except RelayError as error:
            return _later(fetched, lookup, str(error), now, random)
        if urls:
            return LookupEnd(LookupState.DONE, urls)
        return LookupEnd(LookupState.MISSING, reason="the answer has no image URL")
    if status in _CREDENTIAL:
        return Held(fetched.reason)
    if status in _GONE:
        return LookupEnd(LookupState.MISSING, reason=fetched.reason)
    if status is None or status in _TRANSIENT or status in _SERVER_ERRORS:
        return _later(fetched, lookup, fetched.reason, now, random)
    hint = "; redirects are never followed, the secrets would go along" if status in _REDIRECTS else ""
    return Dead(f"{fetched.reason}{hint}")


def settlement(decision: Dead | Later | Held, lookup: Lookup, now: datetime, max_age: timedelta) -> LookupSettlement:
    """What becomes of the lookup. One that has been failing for `max_age` is dead; the time in which its source is held
    does not count."""
    if isinstance(decision, Dead):
        return LookupSettlement(state=LookupState.DEAD, last_error=decision.reason)
    if isinstance(decision, Held):
        return LookupSettlement(state=LookupState.PENDING, last_error=decision.reason, due_at=lookup.due_at)
    since = lookup.failing_since or now
    if now - since >= max_age:
        return LookupSettlement(state=LookupState.DEAD, last_error=aged(decision.reason, max_age))
    return LookupSettlement(
        state=LookupState.PENDING,
        last_error=decision.reason,
        due_at=decision.at,
        failing_since=since,
        url=decision.url,
    )


def elsewhere(url: str, lookup: Lookup, now: datetime, random: Random) -> Later:
    """The answer was where to ask instead: at once the first time, and no faster than after failures from then on."""
    wait = backoff(lookup.attempts - 1, random) if lookup.attempts > 1 else timedelta()
    return Later(now + wait, "the content has a newer version", url)


def _later(fetched: Fetched, lookup: Lookup, reason: str, now: datetime, random: Random) -> Later:
    failures = 1 if lookup.failing_since is None else max(1, lookup.attempts)
    earliest = now if fetched.retry_at is None else spread(fetched.retry_at, random)
    return Later(max(earliest, now + backoff(failures, random)), reason)
