"""Which Vercel token a project uses: its own in the file, the one stored for it, the one stored for its team."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from service.dispatch.fresh import Fresh
from service.dispatch.ports import Opener, Tokens
from service.domain.clock import Clock
from service.domain.errors import VaultError
from service.domain.secret import Secret
from service.domain.tokens import StoredToken, TokenScope
from service.settings.model import Project

_Stored = Mapping[tuple[TokenScope, str], StoredToken]


class Credential(Struct, frozen=True):
    """A token to call Vercel with; `fingerprint` names it without giving it away."""

    token: Secret
    fingerprint: str


class Missing(Struct, frozen=True):
    """There is no token to call with; `reason` names the remedy."""

    reason: str


class Credentials:
    """Looks tokens up; one stored or removed by another process is noticed within half a second."""

    def __init__(self, projects: Mapping[str, Project], tokens: Tokens, opener: Opener, clock: Clock) -> None:
        self._projects = projects
        self._tokens = tokens
        self._opener = opener
        self._stored: Fresh[_Stored] = Fresh(self._load, clock)
        self._opened: dict[bytes, Secret] = {}

    async def for_project(self, name: str) -> Credential | Missing:
        """The token of a configured project; raises StoreUnavailable where it may be in a store that cannot be read."""
        project = self._projects[name]
        if project.token is not None:
            return Credential(project.token, project.token.fingerprint())
        stored = await self._stored.get()
        found = stored.get((TokenScope.PROJECT, name))
        if found is None and project.team is not None:
            found = stored.get((TokenScope.TEAM, project.team))
        if found is None:
            return Missing(f"no Vercel token: store one with `image-relay tokens set {name}`")
        try:
            token = self._open(found)
        except VaultError as error:
            return Missing(str(error))
        return Credential(token, token.fingerprint())

    async def _load(self) -> _Stored:
        stored = {(token.scope, token.name): token for token in await self._tokens.list()}
        known = {token.ciphertext for token in stored.values()}
        self._opened = {ciphertext: token for ciphertext, token in self._opened.items() if ciphertext in known}
        return stored

    def _open(self, stored: StoredToken) -> Secret:
        token = self._opened.get(stored.ciphertext)
        if token is None:
            token = self._opened[stored.ciphertext] = self._opener.decrypt(stored.ciphertext)
        return token
