"""Purges as an operator looks at them and puts them right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from service.domain.attempts import Attempt, Settlement
from service.domain.clock import from_ms, to_ms
from service.domain.errors import CommandFailed
from service.domain.purges import Purge, PurgeState
from service.store.engine import Engine, Row, Tx
from service.store.queue import put_back
from service.store.rows import purge_of

_RETRIES = 200  # purges a transaction puts back at most: a webhook waits for no longer than that takes


class PurgeStory(Struct, frozen=True):
    """A purge, the calls made for it, and the receipts (id, source, status, time in ms, rule) that asked for it."""

    purge: Purge
    attempts: Sequence[Attempt]
    receipts: Sequence[dict[str, Any]]


class Backlog(Struct, frozen=True):
    """How many purges of a project are in a state, and since when the oldest is there."""

    project: str
    state: PurgeState
    purges: int
    oldest: datetime


class Purges:
    """The operators' side of the purges table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(
        self,
        *,
        project: str | None = None,
        state: str | None = None,
        src_image: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> Sequence[Purge]:
        """Purges, newest first. `before` is the last id of the page before."""
        rows = await self._engine.read(
            lambda tx: tx.all(
                "list_purges", project=project, state=state, src_image=src_image, before=before, limit=limit
            )
        )
        return [purge_of(row) for row in rows]

    async def get(self, purge_id: str) -> PurgeStory | None:
        """One purge with its calls and receipts, None where there is none of this id."""

        def job(tx: Tx) -> PurgeStory | None:
            row = tx.one("get_purge", id=purge_id)
            if row is None:
                return None
            attempts = [_attempt(one) for one in tx.all("attempts_of_purge", purge_id=purge_id)]
            receipts = [dict(one) for one in tx.all("receipts_of_purge", purge_id=purge_id)]
            return PurgeStory(purge_of(row), attempts, receipts)

        return await self._engine.read(job)

    async def backlog(self) -> Sequence[Backlog]:
        """What is pending, in a call or dead, by project."""
        rows = await self._engine.read(lambda tx: tx.all("count_purges"))
        return [
            Backlog(row["project"], PurgeState(row["state"]), row["purges"], from_ms(row["oldest"])) for row in rows
        ]

    async def retry(self, purge_id: str, now: datetime) -> str:
        """Make a dead, dropped or waiting purge due now; the id that stands for it from here on.

        Raises CommandFailed where there is none of this id, where it has been done, or where it may never be sent.
        """
        return await self._engine.write(lambda tx: _retry(tx, _existing(tx, purge_id), now))

    async def retry_dead(self, project: str, now: datetime) -> int:
        """As `retry` for all of a project's dead purges that may be sent, some hundred a transaction; how many."""
        retried = 0
        while step := await self._engine.write(lambda tx: _retry_some(tx, project, now)):
            retried += step
        return retried

    async def drop(self, purge_id: str, now: datetime) -> None:
        """End a pending or dead purge without a call; raises CommandFailed where that cannot be."""

        def job(tx: Tx) -> None:
            purge = _existing(tx, purge_id)
            if purge.state not in (PurgeState.PENDING, PurgeState.DEAD):
                raise CommandFailed(f"{purge_id} is {purge.state}: only pending and dead purges can be dropped")
            tx.run(
                "finish_purge",
                id=purge_id,
                was=purge.state,
                attempts=purge.attempts,
                state=PurgeState.DROPPED,
                now=to_ms(now),
                last_error=purge.last_error,
                superseded_by=None,
            )

        await self._engine.write(job)


def _retry_some(tx: Tx, project: str, now: datetime) -> int:
    rows = tx.all("dead_of_project", project=project, limit=_RETRIES)
    for row in rows:
        _retry(tx, purge_of(row), now)
    return len(rows)


def _retry(tx: Tx, purge: Purge, now: datetime) -> str:
    if purge.state not in (PurgeState.PENDING, PurgeState.DEAD, PurgeState.DROPPED):
        instead = f", by {purge.superseded_by}" if purge.superseded_by else ""
        raise CommandFailed(
            f"{purge.id} is {purge.state}{instead}: only dead, dropped and pending purges can be retried"
        )
    if tx.value("is_refused", id=purge.id):
        raise CommandFailed(
            f"{purge.id} may not be sent to Vercel ({purge.last_error}): mend the rule that asked for it, then replay "
            "its receipt"
        )
    heir = purge.id
    if purge.state is not PurgeState.PENDING:
        again = Settlement(purge=purge, state=PurgeState.PENDING, due_at=now)
        heir = put_back(tx, again, purge.state, now) or purge.id
    tx.run("make_due", id=heir, now=to_ms(now))
    return heir


def _existing(tx: Tx, purge_id: str) -> Purge:
    row = tx.one("get_purge", id=purge_id)
    if row is None:
        raise CommandFailed(f"there is no purge {purge_id}: `image-relay purges list` shows those there are")
    return purge_of(row)


def _attempt(row: Row) -> Attempt:
    return Attempt(
        call_id=row["call_id"],
        at=from_ms(row["at"]),
        images=row["images"],
        status=row["status"],
        outcome=row["outcome"],
        reason=row["reason"],
        duration_ms=row["duration_ms"],
    )
