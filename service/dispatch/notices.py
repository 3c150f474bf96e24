"""The board as this process sees it: holds and used-up rate budgets, at most half a second old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from service.dispatch.fresh import Fresh
from service.dispatch.ports import Board
from service.domain.clock import Clock
from service.domain.holds import Hold


class Notices:
    """Reads the board for every lane at once; what is written through here shows at once."""

    def __init__(self, board: Board, clock: Clock) -> None:
        self._board = board
        self._holds: Fresh[Mapping[str, Hold]] = Fresh(board.holds, clock)
        self._quotas: Fresh[Mapping[str, datetime]] = Fresh(lambda: board.quotas(clock()), clock)

    async def hold_of(self, project: str) -> Hold | None:
        """The project's hold, None where there is none."""
        return (await self._holds.get()).get(project)

    async def used_up_until(self, credential: str) -> datetime | None:
        """Until when the credential of this fingerprint is out of budget, None where it is not."""
        return (await self._quotas.get()).get(credential)

    async def hold(self, hold: Hold) -> None:
        """As the board's."""
        await self._board.hold(hold)
        self._holds.spoil()

    async def release(self, project: str) -> None:
        """As the board's."""
        await self._board.release(project)
        self._holds.spoil()

    async def block(self, credential: str, until: datetime) -> None:
        """As the board's."""
        await self._board.block(credential, until)
        self._quotas.spoil()
