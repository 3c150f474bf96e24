"""The purges that wait: claimed, settled, put back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

from service.domain.attempts import Attempt, Settlement
from service.domain.clock import from_ms, to_ms
from service.domain.purges import Action, Purge, PurgeState
from service.store.engine import Engine, Row, Tx
from service.store.rows import purge_of

_STEP = 500  # orphans that a transaction ends at most


class Queue:
    """The dispatcher's side of the purges table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def recover(self, project: str) -> int:
        """Put back what the project's former process had claimed; how many. Only for the one that has it now."""

        def job(tx: Tx) -> int:
            claimed = [purge_of(row) for row in tx.all("claimed_purges", project=project)]
            for purge in claimed:
                put_back(tx, _as_it_was(purge), PurgeState.CLAIMED, purge.due_at)
            return len(claimed)

        return await self._engine.write(job)

    async def projects(self) -> Sequence[str]:
        """The projects that have pending purges."""
        rows = await self._engine.read(lambda tx: tx.all("pending_projects"))
        return [row["project"] for row in rows]

    async def next_due_at(self, project: str) -> datetime | None:
        """When the project's next pending purge is due, None where none is pending."""
        due_at = await self._engine.read(lambda tx: tx.value("next_due_at", project=project))
        return None if due_at is None else from_ms(due_at)

    async def claim(self, project: str, worker: str, now: datetime, limit: int) -> Sequence[Purge]:
        """Take up to `limit` due purges of one action and one deadline, none of an image that is in a call already."""

        def job(tx: Tx) -> list[Purge]:
            head = tx.one("head_of_lane", project=project, now=to_ms(now))
            if head is None:
                return []
            rows = tx.all(
                "claim",
                project=project,
                now=to_ms(now),
                action=head["action"],
                deadline=head["deadline"],
                worker=worker,
                limit=limit,
            )
            return sorted((purge_of(row) for row in rows), key=lambda purge: (purge.due_at, purge.id))

        return await self._engine.write(job)

    async def settle(self, attempt: Attempt, purges: Sequence[Purge], settlements: Sequence[Settlement]) -> None:
        """Record the attempt for `purges` and what becomes of those that have a settlement, in one transaction."""

        def job(tx: Tx) -> None:
            tx.rows("insert_attempts", [_attempt_row(purge, attempt) for purge in purges])
            ended = []
            for settlement in settlements:
                if settlement.state is PurgeState.PENDING:
                    put_back(tx, settlement, PurgeState.CLAIMED, attempt.at)
                else:
                    purge = settlement.purge
                    ended.append((purge.id, purge.attempts, settlement.state, settlement.last_error))
            tx.rows("finish_claimed", sorted(ended, key=itemgetter(0)), now=to_ms(attempt.at))

        await self._engine.write(job)

    async def release(self, purges: Sequence[Purge]) -> None:
        """Put claimed purges back as they were, no attempt counted: their call was never made."""

        def job(tx: Tx) -> None:
            for purge in purges:
                if put_back(tx, _as_it_was(purge), PurgeState.CLAIMED, purge.due_at) is not None:
                    tx.run("uncount_attempt", id=purge.id)

        await self._engine.write(job)

    async def bury_orphans(self, project: str, before: datetime, now: datetime, reason: str) -> int:
        """End as dead what was left pending since before `before`; how many."""

        def step(tx: Tx) -> int:
            return tx.run(
                "bury_orphans", project=project, before=to_ms(before), now=to_ms(now), last_error=reason, limit=_STEP
            )

        buried = 0
        while some := await self._engine.write(step):
            buried += some
        return buried


def _attempt_row(purge: Purge, attempt: Attempt) -> tuple[object, ...]:
    return (
        purge.id,
        attempt.call_id,
        to_ms(attempt.at),
        attempt.images,
        attempt.status,
        attempt.outcome,
        attempt.reason,
        attempt.duration_ms,
    )


def put_back(tx: Tx, settlement: Settlement, was: PurgeState, now: datetime) -> str | None:
    """Make a purge pending again, or merge it into a newer one of its image; the id that now stands for it.

    None, and nothing changes, where the purge is not in the state it `was` in, or has been claimed once more since: a
    settlement may come twice, or late. All in the caller's transaction: two pending purges of one image and action
    would break the unique index, and one that fell out in between would be lost.
    """
    purge = settlement.purge
    waiting = {
        row["action"]: row for row in tx.all("pending_of_image", project=purge.project, src_image=purge.src_image)
    }
    # A pending delete does all that this purge would; a pending purge of the same action is the newer one of the two.
    heir = waiting.get(Action.DELETE) or waiting.get(purge.action)
    if heir is None:
        # What is left is an invalidate that waits, and this one is a delete.
        return purge.id if _waits_again(tx, settlement, was, waiting.get(Action.INVALIDATE), now) else None
    superseded = tx.run(
        "finish_purge",
        id=purge.id,
        was=was,
        attempts=purge.attempts,
        state=PurgeState.SUPERSEDED,
        now=to_ms(now),
        last_error=settlement.last_error,
        superseded_by=heir["id"],
    )
    if not superseded:
        return None
    tx.run(
        "merge_into_pending",
        id=heir["id"],
        events=purge.events,
        deadline=purge.deadline if purge.action is Action.DELETE else None,
        due_at=to_ms(settlement.due_at or now),
        attempts=purge.attempts,
        failing_since=_failing_since(settlement),
    )
    return str(heir["id"])


def _waits_again(tx: Tx, settlement: Settlement, was: PurgeState, absorbed: Row | None, now: datetime) -> bool:
    """Pending again, in place of an invalidate that waits for the same image and for its own time to settle."""
    purge, due_at = settlement.purge, to_ms(settlement.due_at or now)
    changed = tx.run(
        "put_back",
        id=purge.id,
        was=was,
        attempts=purge.attempts,
        due_at=due_at if absorbed is None else max(due_at, absorbed["due_at"]),
        events=0 if absorbed is None else absorbed["events"],
        last_error=settlement.last_error,
        failing_since=_failing_since(settlement),
    )
    if changed and absorbed is not None:
        place = {"project": purge.project, "src_image": purge.src_image}
        tx.run("supersede_pending_invalidate", **place, by=purge.id, now=to_ms(now))
    return bool(changed)


def _failing_since(settlement: Settlement) -> int | None:
    return None if settlement.failing_since is None else to_ms(settlement.failing_since)


def _as_it_was(purge: Purge) -> Settlement:
    return Settlement(
        purge=purge,
        state=PurgeState.PENDING,
        last_error=purge.last_error,
        due_at=purge.due_at,
        failing_since=purge.failing_since,
    )
