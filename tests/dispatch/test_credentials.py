from __future__ import annotations

import asyncio

import pytest
from support.dispatching import OTHER_TOKEN, TOKEN, PlainOpener
from support.memory_store import MemoryTokens
from support.virtual_time import START, clock, simulate

from service.dispatch.credentials import Credential, Credentials, Missing
from service.domain.errors import StoreUnavailable
from service.domain.secret import Secret
from service.domain.tokens import StoredToken, TokenScope
from service.settings.model import Project

TEAM_TOKEN = Secret("vcp_teamfaketeamfake0123456789")
PROJECTS = {
    "filed": Project(project="p1", team="team_1", token=TOKEN),
    "shop": Project(project="p2", team="team_1"),
    "blog": Project(project="p3"),
}


def stored(scope: TokenScope, name: str, token: Secret | bytes) -> StoredToken:
    ciphertext = token if isinstance(token, bytes) else token.encode()
    fingerprint = "locked" if isinstance(token, bytes) else token.fingerprint()
    return StoredToken(scope=scope, name=name, ciphertext=ciphertext, fingerprint=fingerprint, updated_at=START)


def credential(token: Secret) -> Credential:
    return Credential(token, token.fingerprint())


OF_FILED = stored(TokenScope.PROJECT, "filed", OTHER_TOKEN)
OF_SHOP = stored(TokenScope.PROJECT, "shop", OTHER_TOKEN)
OF_TEAM = stored(TokenScope.TEAM, "team_1", TEAM_TOKEN)
NONE = Missing("no Vercel token: store one with `image-relay tokens set shop`")
LOCKED = Missing("no key in vault.keys opens this token")


@pytest.mark.parametrize(
    ("project", "tokens", "found"),
    [
        ("filed", [OF_FILED, OF_TEAM], credential(TOKEN)),
        ("shop", [OF_SHOP, OF_TEAM], credential(OTHER_TOKEN)),
        ("shop", [OF_TEAM], credential(TEAM_TOKEN)),
        ("shop", [OF_FILED], NONE),
        ("shop", [stored(TokenScope.TEAM, "shop", TOKEN), stored(TokenScope.PROJECT, "team_1", TOKEN)], NONE),
        ("shop", [stored(TokenScope.PROJECT, "shop", b"locked"), OF_TEAM], LOCKED),
        ("shop", [stored(TokenScope.TEAM, "team_1", b"locked")], LOCKED),
        ("blog", [OF_TEAM], Missing("no Vercel token: store one with `image-relay tokens set blog`")),
    ],
)
def test_where_a_token_is_looked_for(project: str, tokens: list[StoredToken], found: Credential | Missing) -> None:
    async def main() -> Credential | Missing:
        return await Credentials(PROJECTS, MemoryTokens(tokens), PlainOpener(), clock).for_project(project)

    assert simulate(main) == found


def test_a_token_stored_or_removed_by_another_process_is_noticed_within_a_second() -> None:
    async def main() -> None:
        tokens = MemoryTokens()
        credentials = Credentials(PROJECTS, tokens, PlainOpener(), clock)
        assert await credentials.for_project("shop") == NONE
        for change, expected in ((OF_SHOP, credential(OTHER_TOKEN)), (None, NONE), (OF_SHOP, credential(OTHER_TOKEN))):
            tokens.stored = {} if change is None else {(change.scope, change.name): change}
            await asyncio.sleep(0.99)
            assert await credentials.for_project("shop") == expected

    simulate(main)


def test_many_lanes_cost_one_reading_and_a_token_one_decryption() -> None:
    opened: list[bytes] = []

    class Counting(PlainOpener):
        def decrypt(self, ciphertext: bytes) -> Secret:
            opened.append(ciphertext)
            return super().decrypt(ciphertext)

    async def main() -> None:
        tokens = MemoryTokens([OF_SHOP])
        credentials = Credentials(PROJECTS, tokens, Counting(), clock)
        for _ in range(5):
            await asyncio.gather(*(credentials.for_project("shop") for _ in range(20)))
            await asyncio.sleep(0.09)
        assert tokens.reads == 1
        await asyncio.sleep(1)
        assert await credentials.for_project("shop") == credential(OTHER_TOKEN)
        assert tokens.reads == 2
        assert opened == [OF_SHOP.ciphertext]

    simulate(main)


def test_a_token_in_the_file_needs_no_store() -> None:
    async def main() -> None:
        tokens = MemoryTokens()
        tokens.fail("list")
        credentials = Credentials(PROJECTS, tokens, PlainOpener(), clock)
        assert await credentials.for_project("filed") == credential(TOKEN)
        with pytest.raises(StoreUnavailable):
            await credentials.for_project("shop")

    simulate(main)


def test_a_credential_does_not_show_its_token() -> None:
    assert TOKEN.reveal() not in repr(credential(TOKEN))
