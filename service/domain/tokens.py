"""Stored Vercel tokens, as the store and the vault pass them on: encrypted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class TokenScope(StrEnum):
    """Whose token: one project's (by its name in relay.yaml), or a team's (by id or slug) for all its projects."""

    PROJECT = "project"
    TEAM = "team"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A token at rest. `fingerprint` tells two tokens apart without giving either away."""

    scope: TokenScope
    name: str
    ciphertext: bytes = field(repr=False)
    fingerprint: str
    updated_at: datetime
