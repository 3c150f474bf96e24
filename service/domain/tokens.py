"""Stored Vercel tokens, as the store and the vault pass them on: encrypted."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class TokenScope(StrEnum):
    """Whose token: one project's (by its name in relay.yaml), or a team's (by id or slug) for all its projects."""

    PROJECT = "project"
    TEAM = "team"


class StoredToken(Struct, frozen=True, kw_only=True):
    """A token at rest. `fingerprint` tells two tokens apart without giving either away."""

    scope: TokenScope
    name: str
    ciphertext: bytes
    fingerprint: str
    updated_at: datetime

    def __repr__(self) -> str:
        return f"StoredToken({self.scope.value}, {self.name!r}, fingerprint={self.fingerprint!r})"
