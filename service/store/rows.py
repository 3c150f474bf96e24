"""Rows of the purges table as values."""

from __future__ import annotations

from service.domain.clock import from_ms
from service.domain.purges import Action, Purge, PurgeState
from service.store.engine import Row


def purge_of(row: Row) -> Purge:
    """Any row that has the columns of `get_purge`."""
    return Purge(
        id=row["id"],
        project=row["project"],
        action=Action(row["action"]),
        src_image=row["src_image"],
        deadline=row["deadline"],
        state=PurgeState(row["state"]),
        due_at=from_ms(row["due_at"]),
        created_at=from_ms(row["created_at"]),
        failing_since=None if row["failing_since"] is None else from_ms(row["failing_since"]),
        finished_at=None if row["finished_at"] is None else from_ms(row["finished_at"]),
        attempts=row["attempts"],
        events=row["events"],
        last_error=row["last_error"],
        superseded_by=row["superseded_by"],
    )
