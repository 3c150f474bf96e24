"""Encrypted tokens."""

from __future__ import annotations

import pytest
from support.stored import NOW, at

from service.domain.errors import VaultError
from service.domain.tokens import StoredToken, TokenScope
from service.store.engine import Engine
from service.store.tokens import Tokens


def token(name: str, scope: TokenScope = TokenScope.PROJECT, text: bytes = b"sealed") -> StoredToken:
    return StoredToken(scope=scope, name=name, ciphertext=text, fingerprint=f"f-{name}", updated_at=NOW)


SHOP, BLOG, TEAM = token("shop"), token("blog"), token("shop", TokenScope.TEAM)


async def test_tokens_by_scope_and_name(engine: Engine) -> None:
    tokens = Tokens(engine)
    for one in (TEAM, SHOP, BLOG):
        await tokens.put(one)
    assert await tokens.list() == [BLOG, SHOP, TEAM]
    assert await tokens.get(TokenScope.TEAM, "shop") == TEAM
    assert await tokens.get(TokenScope.TEAM, "blog") is None


async def test_a_token_takes_the_place_of_the_one_before(engine: Engine) -> None:
    tokens = Tokens(engine)
    await tokens.put(SHOP)
    newer = StoredToken(scope=TokenScope.PROJECT, name="shop", ciphertext=b"other", fingerprint="f2", updated_at=at(5))
    await tokens.put(newer)
    assert await tokens.list() == [newer]


async def test_removing_says_whether_there_was_one(engine: Engine) -> None:
    tokens = Tokens(engine)
    await tokens.put(SHOP)
    assert not await tokens.remove(TokenScope.TEAM, "shop")
    assert await tokens.remove(TokenScope.PROJECT, "shop")
    assert await tokens.list() == []


async def test_rewriting_is_for_all_or_none(engine: Engine) -> None:
    tokens = Tokens(engine)
    for one in (SHOP, BLOG, TEAM):
        await tokens.put(one)
    left = [b"1", b"2"]

    def run_out(_: bytes) -> bytes:
        if not left:
            raise VaultError("no key opens this one")
        return left.pop()

    with pytest.raises(VaultError):
        await tokens.rewrite(run_out)
    assert {one.ciphertext for one in await tokens.list()} == {b"sealed"}
    assert await tokens.rewrite(lambda text: text + b" anew") == 3
    after = await tokens.list()
    assert {one.ciphertext for one in after} == {b"sealed anew"}
    assert {one.updated_at for one in after} == {NOW}  # the token is the same


async def test_a_repr_shows_no_ciphertext() -> None:
    assert "sealed" not in repr(SHOP)
