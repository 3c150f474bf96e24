"""Projects whose purges wait for an operator, or for Vercel to change its mind."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class HoldKind(StrEnum):
    """`auto`: an answer of Vercel's made it, and a probe or a new token ends it. `manual`: only `resume` ends it."""

    AUTO = "auto"
    MANUAL = "manual"


class Hold(Struct, frozen=True, kw_only=True):
    """`credential` is the fingerprint of the token the project was held with, "" where there was none."""

    project: str
    kind: HoldKind
    reason: str
    credential: str
    since: datetime
    probe_at: datetime
