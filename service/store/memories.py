"""What is remembered of assets: read together for many events, handed from one to the next, written together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

import msgspec
from msgspec.structs import replace

from service.domain.clock import from_ms, to_ms
from service.domain.events import AssetEvent
from service.domain.memory import AssetMemory
from service.domain.receipts import PlannedEvent
from service.store.asset_keys import key_of
from service.store.engine import Row, Tx

Planner = Callable[[AssetEvent, AssetMemory | None], PlannedEvent]
Key = tuple[str, str, str]

_encode = msgspec.json.Encoder().encode
_decode_urls = msgspec.json.Decoder(list[str]).decode


class Memories:
    """The memory of the assets that some events are about, other processes kept from it until the transaction ends.

    Events are planned in their order, each on the memory the one before it leaves: a request may speak of one asset
    twice, and so may two requests of one group.
    """

    def __init__(self, tx: Tx, about: Iterable[tuple[str, Iterable[AssetEvent]]]) -> None:
        """`about` are sources and their events."""
        self._tx = tx
        keys = {_key(source, event) for source, events in about for event in events}
        self._known: dict[Key, AssetMemory] = {}
        self._updated: dict[Key, int] = {}
        self._learnt: dict[Key, int] = {}
        if keys:
            tx.lock(keys)
            self._recall(keys)

    def _recall(self, keys: AbstractSet[Key]) -> None:
        # What an operator told of an asset without naming an environment is true of it in each, until that has had an
        # event of its own.
        told = {key: (key[0], "", key[2]) for key in keys if key[1]}
        for row in self._tx.rows("recall_assets", list(keys | set(told.values()))):
            key = (row["source"], row["environment"], row["asset_id"])
            self._known[key] = memory_of(row)
            self._updated[key] = row["updated_at"]
        for key, anywhere in told.items():
            if key not in self._known and anywhere in self._known:
                self._known[key] = self._known[anywhere]

    def plan(
        self, source: str, events: Sequence[AssetEvent], plan: Planner, replayed: datetime | None = None
    ) -> tuple[PlannedEvent, ...]:
        """What a request's events come to. `replayed` is when it came in, where that was some time ago."""
        overtaken: AbstractSet[Key] = frozenset()
        if replayed is not None:
            overtaken = {key for key, updated in self._updated.items() if updated > to_ms(replayed)}
        return tuple([self._planned(_key(source, event), event, plan, overtaken) for event in events])

    def _planned(self, key: Key, event: AssetEvent, plan: Planner, overtaken: AbstractSet[Key]) -> PlannedEvent:
        known = self._known.get(key)
        outcome = plan(event, known)
        if known is not None and (outcome.failed or (key in overtaken and known.is_newer_than(event) is None)):
            outcome = replace(outcome, memory=_noted(known, outcome.memory))
        self._known[key] = outcome.memory
        return outcome

    def learn(self, source: str, planned: Iterable[PlannedEvent], heard_at: datetime) -> None:
        """These are to be written: what was planned of a request that came in at `heard_at`."""
        told = to_ms(heard_at)
        for outcome in planned:
            key = _key(source, outcome.event)
            # A failed rule has not dealt with the new state.
            self._learnt[key] = max(self._learnt.get(key, 0), 0 if outcome.failed else told)

    def write(self) -> None:
        """Store what was learnt."""
        self._tx.rows("put_assets", [_row(key, self._known[key], told) for key, told in self._learnt.items()])


def _key(source: str, event: AssetEvent) -> Key:
    return source, key_of(event.environment), key_of(event.id)


def _noted(known: AssetMemory, memory: AssetMemory) -> AssetMemory:
    """The state that is known, with the new one's URLs among the earlier ones.

    For an event that others have overtaken since, and for one whose rule failed: replayed once the rule is mended, it
    has to differ from what is remembered as it does now.
    """
    earlier = dict.fromkeys((*memory.urls, *memory.earlier_urls))
    room = max(len(known.earlier_urls), len(memory.earlier_urls), len(memory.urls))
    return replace(known, earlier_urls=tuple(url for url in earlier if url not in known.urls)[:room])


def _row(key: Key, memory: AssetMemory, told: int) -> tuple[object, ...]:
    return (
        *key,
        _encode(memory.urls).decode(),
        _encode(memory.earlier_urls).decode(),
        memory.content_hash,
        None if memory.occurred_at is None else to_ms(memory.occurred_at),
        int(memory.gone),
        memory.sequence,
        told,
    )


def memory_of(row: Row) -> AssetMemory:
    """Any row that has the columns of `recall_assets`."""
    return AssetMemory(
        urls=tuple(_decode_urls(row["urls"])),
        earlier_urls=tuple(_decode_urls(row["earlier_urls"])),
        content_hash=row["content_hash"],
        occurred_at=None if row["occurred_at"] is None else from_ms(row["occurred_at"]),
        gone=bool(row["gone"]),
        sequence=row["sequence"],
    )
