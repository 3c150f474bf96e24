"""Short ways to fill a store, and to look into it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.attempts import Attempt, Settlement
from service.domain.events import AssetEvent, AssetKind
from service.domain.ids import new_id
from service.domain.memory import AssetMemory
from service.domain.purges import Action, PlannedPurge, Purge, PurgeState, ReceiptStatus
from service.domain.receipts import NewReceipt, PlannedEvent
from service.ingest.ports import Planner
from service.rules.memory import next_memory, with_memory
from service.store.engine import Engine
from service.store.inbox import Accepted, Inbox
from service.store.purges import Purges
from service.store.queue import Queue

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
IMAGE = "https://img.example.com/hero.jpg"


def at(seconds: float) -> datetime:
    """A time so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def receipt(event_id: str | None = None, now: datetime = NOW, **more: Any) -> NewReceipt:
    """A webhook of the source `cms`; `event_id` makes two of them deliveries of the same event."""
    usual: dict[str, Any] = {
        "id": new_id("rcp", now),
        "source": "cms",
        "status": ReceiptStatus.ACCEPTED,
        "reason": None,
        "scheme": "hmac",
        "method": "POST",
        "path": "/hooks/cms",
        "headers": {"content-type": "application/json"},
        "body": b"{}",
        "body_bytes": 2,
        "received_at": now,
        "dedupe": None if event_id is None else hashlib.sha256(event_id.encode()).digest()[:16],
    }
    return NewReceipt(**usual | more)


def event(*urls: str, kind: AssetKind = AssetKind.REPLACED, **more: Any) -> AssetEvent:
    """An event of the asset `a1`."""
    return AssetEvent(kind=kind, id=more.pop("id", "a1"), urls=urls, **more)


def wanted(src_image: str = IMAGE, action: Action = Action.DELETE, **more: Any) -> PlannedPurge:
    """A purge of the project `shop`, due at once."""
    usual: dict[str, Any] = {"project": "shop", "deadline": 60, "settle": 0, "rule": "r", "template": "{{ url }}"}
    return PlannedPurge(src_image=src_image, action=action, **usual | more)


class Rules:
    """A planner as the pipeline makes them: each URL that an asset has or had is purged. `failed` is a rule's error."""

    def __init__(self, *purges: PlannedPurge, failed: str | None = None, kinds: Sequence[AssetKind] = ()) -> None:
        self.seen: list[AssetEvent] = []
        self.remembered: list[AssetMemory | None] = []
        self._purges = purges
        self._failed = failed
        self._kinds = kinds

    def __call__(self, told: AssetEvent, memory: AssetMemory | None) -> PlannedEvent:
        seen = with_memory(told, memory)
        self.seen.append(seen)
        self.remembered.append(memory)
        matches = self._failed is None and (not self._kinds or seen.kind in self._kinds)
        purges = self._purges or tuple(wanted(url, url=url) for url in seen.all_urls)
        return PlannedEvent(
            event=seen,
            purges=purges if matches else (),
            memory=next_memory(told, memory, 32),
            trace={"event": {"id": told.id}},
            failed=self._failed,
        )


async def accept(inbox: Inbox, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
    """Take in one webhook; raises why that could not be done."""
    (outcome,) = await inbox.accept([(new, events, plan)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def asked(engine: Engine, *purges: PlannedPurge, now: datetime = NOW) -> list[Purge]:
    """Take in a webhook for which exactly these purges are planned; the purges that now stand for them."""
    inbox = Inbox(engine)
    new = receipt(now=now)
    await accept(inbox, new, [event()], Rules(*purges))
    return [purge for purge, _ in await inbox.purges_of(new.id)]


async def taken(engine: Engine, *events: AssetEvent, rules: Rules | None = None, **more: Any) -> Accepted:
    """Take in a webhook with these events."""
    return await accept(Inbox(engine), receipt(**more), events, rules or Rules())


async def claimed(engine: Engine, now: datetime = NOW, limit: int = 8, project: str = "shop") -> list[Purge]:
    """What the dispatcher would now call for."""
    return list(await Queue(engine).claim(project, "worker", now, limit))


def attempt(call_id: str = "call_1", now: datetime = NOW, **more: Any) -> Attempt:
    """A call that was answered."""
    usual: dict[str, Any] = {"images": 1, "status": 200, "outcome": "done", "reason": "", "duration_ms": 20}
    return Attempt(call_id=call_id, at=now, **usual | more)


async def settled(engine: Engine, purge: Purge, state: PurgeState, now: datetime = NOW, **more: Any) -> None:
    """The end of one purge's call."""
    name = new_id("call", now)
    await Queue(engine).settle(attempt(name, now), [purge], [Settlement(purge=purge, state=state, **more)])


async def states(engine: Engine) -> Mapping[str, PurgeState]:
    """The state of every purge by its id."""
    return {purge.id: purge.state for purge in await Purges(engine).list(limit=10_000)}


async def stored(engine: Engine, purge: Purge | str) -> Purge:
    """A purge as it is now."""
    story = await Purges(engine).get(purge if isinstance(purge, str) else purge.id)
    assert story is not None
    return story.purge


async def pending(engine: Engine) -> list[Purge]:
    """What waits, oldest first."""
    return list(await Purges(engine).list(state="pending", limit=10_000))[::-1]
