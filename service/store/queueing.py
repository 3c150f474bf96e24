"""Purges put into the queue: those of one image join each other, and the pending one that is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from service.domain.clock import to_ms
from service.domain.ids import new_id
from service.domain.purges import Action, PlannedPurge
from service.store.engine import Tx

_TICK = 100  # milliseconds; a settling time may become longer by less than that, never shorter

Place = tuple[str, str]
"""Project and source image."""


class _Asked(Struct, eq=False):
    """What some planned purges of one image come to, which follow each other and differ in no more than their time;
    times in milliseconds. `id` becomes the id of the purge that stands for them."""

    place: Place
    purge: PlannedPurge
    settle: int
    now: int
    last: int
    due: int
    id: str
    events: int = 1

    @classmethod
    def of(cls, purge: PlannedPurge, now: datetime, settle: int) -> _Asked:
        first = to_ms(now)
        place = (purge.project, purge.src_image)
        return cls(place, purge, settle, first, first, _due(first, settle), new_id("prg", now))

    def takes(self, purge: PlannedPurge, settle: int) -> bool:
        """Whether the next one is no other than this."""
        mine = self.purge
        return (
            mine.action is purge.action and self.settle == settle and (mine.refusal is None) is (purge.refusal is None)
        )

    def add(self, purge: PlannedPurge, now: datetime) -> None:
        """As if each had been stored after the other: the shorter deadline wins, and settling begins anew, never past
        five times its length."""
        self.events += 1
        self.last = to_ms(now)
        if purge.refusal is not None:
            self.purge = replace(self.purge, refusal=purge.refusal)
        elif purge.deadline < self.purge.deadline:
            self.purge = purge
        if self.settle:
            self.due = max(self.due, min(_due(self.last, self.settle), self.now + 5 * self.settle))


def _due(now: int, settle: int) -> int:
    """When a purge is due: what settles does so by the tick, so that images which change one after the other fall due
    together and fill a call."""
    return -(-(now + settle) // _TICK) * _TICK if settle else now


def queue_purges(tx: Tx, planned: Iterable[tuple[PlannedPurge, datetime]]) -> list[str]:
    """Queue purges, or let them join the pending ones that already do their work; the ids that now stand for each.

    In turns, because one statement changes a row once: what follows another of the same image, and is not the same
    again, has its own turn.
    """
    turns: list[list[_Asked]] = []
    latest: dict[Place, tuple[int, _Asked]] = {}
    asked: list[_Asked] = []
    for purge, now in planned:
        settle = round(purge.settle * 1000)
        turn, before = latest.get((purge.project, purge.src_image), (-1, None))
        if before is not None and before.takes(purge, settle):
            before.add(purge, now)
            asked.append(before)
            continue
        one = _Asked.of(purge, now, settle)
        if turn + 1 == len(turns):
            turns.append([])
        turns[turn + 1].append(one)
        latest[one.place] = (turn + 1, one)
        asked.append(one)
    for each in turns:
        _queue(tx, each)
    return [one.id for one in asked]


def _queue(tx: Tx, turn: Sequence[_Asked]) -> None:
    """One turn, in one order in every process, so that no two wait for each other."""
    refused: list[_Asked] = []
    sendable: dict[int, list[_Asked]] = {}
    for one in sorted(turn, key=lambda one: one.place):
        (sendable.setdefault(one.settle, []) if one.purge.refusal is None else refused).append(one)
    for settle, some in sendable.items():
        invalidates = [one for one in some if one.purge.action is Action.INVALIDATE]
        absorbed = _absorb(tx, invalidates, settle) if invalidates else set()
        _upsert(tx, [one for one in some if one.place not in absorbed], settle)
    _keep_refused(tx, refused)


def _absorb(tx: Tx, invalidates: Sequence[_Asked], settle: int) -> set[Place]:
    """Let pending deletes do the work of invalidates; of which images there are some."""
    rows = [(*one.place, one.due, one.now, one.events) for one in invalidates]
    stored = {
        (row["project"], row["src_image"]): row["id"]
        for row in tx.rows("absorb_into_pending_deletes", rows, settle=settle)
    }
    for one in invalidates:
        one.id = stored.get(one.place, one.id)
    return set(stored)


def _upsert(tx: Tx, some: Sequence[_Asked], settle: int) -> None:
    rows = [
        (
            one.id,
            one.place[0],
            one.purge.action,
            one.place[1],
            one.purge.deadline,
            "pending",
            one.due,
            one.now,
            0,
            one.events,
        )
        for one in some
    ]
    tx.rows("upsert_purges", rows, settle=settle)
    _join(tx, some)


def _join(tx: Tx, some: Sequence[_Asked]) -> None:
    """Find the pending purges that these have joined, and let them do the work of the invalidates beside them.

    Asked for by itself: to have the upsert say it for each row hands the interpreter from thread to thread as often.
    """
    by_id = {one.id: one for one in some}
    outdone: list[_Asked] = []
    for row in tx.rows("pending_beside", [(one.id, *one.place) for one in some]):
        one = by_id[row["asked"]]
        if row["action"] == one.purge.action:
            one.id = row["id"]
        elif one.purge.action is Action.DELETE:
            outdone.append(one)
    for one in outdone:
        project, src_image = one.place
        tx.run("supersede_pending_invalidate", project=project, src_image=src_image, by=one.id, now=one.now)


def _keep_refused(tx: Tx, some: Sequence[_Asked]) -> None:
    by_place = {one.place: one for one in some}
    rows = [
        (
            one.id,
            one.place[0],
            one.purge.action,
            one.place[1],
            one.purge.deadline,
            "dead",
            one.now,
            one.now,
            0,
            one.events,
            one.last,
            one.purge.refusal,
            1,
        )
        for one in some
    ]
    for row in tx.rows("upsert_refused_purges", rows):
        by_place[row["project"], row["src_image"]].id = row["id"]
