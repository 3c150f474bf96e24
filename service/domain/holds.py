"""Projects whose purges wait for an operator, or for Vercel to change its mind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HoldKind(StrEnum):
    """`auto`: an answer of Vercel's made it, and a probe or a new token ends it. `manual`: only `resume` ends it."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """`credential` is the fingerprint of the token the project was held with, "" where there was none."""

    project: str
    kind: HoldKind
    reason: str
    credential: str
    since: datetime
    probe_at: datetime
