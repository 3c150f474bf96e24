"""For how long a process may send a project's purges: another may take the project over after that."""

from __future__ import annotations

import asyncio
from math import inf


class Tenure:
    """Renewed again and again while it lasts. Seconds are the loop's, which no clock being set changes."""

    def __init__(self, seconds: float = inf) -> None:
        self._loop = asyncio.get_running_loop()
        self.renew(self._loop.time(), seconds)

    def renew(self, asked: float, seconds: float) -> None:
        """It was asked for at `asked`, and lasts so many seconds from then on."""
        self._until = asked + seconds

    def lasts(self, seconds: float) -> bool:
        """Whether what takes so many seconds is over before it ends."""
        return self._loop.time() + seconds < self._until
