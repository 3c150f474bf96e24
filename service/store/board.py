"""Holds and used-up rate budgets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from service.domain.clock import from_ms, to_ms
from service.domain.holds import Hold, HoldKind
from service.store.engine import Engine, Row


class Board:
    """What keeps projects and credentials from being used for a while."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def holds(self) -> Mapping[str, Hold]:
        """The holds by project."""
        rows = await self._engine.read(lambda tx: tx.all("list_holds"))
        return {row["project"]: _hold(row) for row in rows}

    async def hold(self, hold: Hold) -> None:
        """Set or renew a hold; a manual one is not changed by an automatic one."""
        await self._engine.write(
            lambda tx: tx.run(
                "put_hold",
                project=hold.project,
                kind=hold.kind,
                reason=hold.reason,
                credential=hold.credential,
                now=to_ms(hold.since),
                probe_at=to_ms(hold.probe_at),
            )
        )

    async def release(self, project: str) -> None:
        """End an automatic hold."""
        await self._engine.write(lambda tx: tx.run("release_auto_hold", project=project))

    async def resume(self, project: str) -> bool:
        """End any hold, as an operator asks; whether there was one."""
        return await self._engine.write(lambda tx: tx.run("remove_hold", project=project)) > 0

    async def quotas(self, now: datetime) -> Mapping[str, datetime]:
        """Until when each credential (by fingerprint) is out of budget."""
        rows = await self._engine.read(lambda tx: tx.all("list_quotas", now=to_ms(now)))
        return {row["credential"]: from_ms(row["blocked_until"]) for row in rows}

    async def block(self, credential: str, until: datetime) -> None:
        """Say that a credential is out of budget; a later end that is known stays."""
        await self._engine.write(lambda tx: tx.run("put_quota", credential=credential, until=to_ms(until)))


def _hold(row: Row) -> Hold:
    return Hold(
        project=row["project"],
        kind=HoldKind(row["kind"]),
        reason=row["reason"],
        credential=row["credential"],
        since=from_ms(row["since"]),
        probe_at=from_ms(row["probe_at"]),
    )
