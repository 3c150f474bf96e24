"""Vercel tokens at rest: the vault encrypts them before they get here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.domain.clock import from_ms, to_ms
from service.domain.tokens import StoredToken, TokenScope
from service.store.engine import Engine, Row, Tx


class Tokens:
    """The tokens table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(self) -> Sequence[StoredToken]:
        """Every stored token, projects' first."""
        rows = await self._engine.read(lambda tx: tx.all("list_tokens"))
        return [_token(row) for row in rows]

    async def get(self, scope: TokenScope, name: str) -> StoredToken | None:
        row = await self._engine.read(lambda tx: tx.one("get_token", scope=scope, name=name))
        return None if row is None else _token(row)

    async def put(self, token: StoredToken) -> None:
        """Store a token in place of the one of that scope and name."""
        await self._engine.write(lambda tx: _put(tx, token))

    async def remove(self, scope: TokenScope, name: str) -> bool:
        """Forget a token; whether there was one."""
        return await self._engine.write(lambda tx: tx.run("remove_token", scope=scope, name=name)) > 0

    async def rewrite(self, change: Callable[[bytes], bytes]) -> int:
        """Give every ciphertext through `change`, all in one transaction or none; how many."""

        def job(tx: Tx) -> int:
            stored = [_token(row) for row in tx.all("list_tokens")]
            for token in stored:
                tx.run("rewrite_token", scope=token.scope, name=token.name, ciphertext=change(token.ciphertext))
            return len(stored)

        return await self._engine.write(job)


def _put(tx: Tx, token: StoredToken) -> None:
    tx.run(
        "put_token",
        scope=token.scope,
        name=token.name,
        ciphertext=token.ciphertext,
        fingerprint=token.fingerprint,
        now=to_ms(token.updated_at),
    )


def _token(row: Row) -> StoredToken:
    return StoredToken(
        scope=TokenScope(row["scope"]),
        name=row["name"],
        ciphertext=row["ciphertext"],
        fingerprint=row["fingerprint"],
        updated_at=from_ms(row["updated_at"]),
    )
