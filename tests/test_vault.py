"""Stored tokens: encrypted under the first key, opened by every key, shown by nothing."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet

from service.domain.errors import VaultError
from service.domain.secret import Secret
from service.vault import Vault

OLD, NEW, OTHER = (Secret(Fernet.generate_key().decode()) for _ in range(3))
TOKEN = Secret("a-fake-vercel-token-ü")


def test_a_token_comes_back() -> None:
    vault = Vault([OLD])
    ciphertext = vault.encrypt(TOKEN)
    assert TOKEN.encode() not in ciphertext
    assert vault.decrypt(ciphertext) == TOKEN
    assert Vault([OLD]).decrypt(ciphertext) == TOKEN


def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    old = Vault([OLD]).encrypt(TOKEN)
    both = Vault([NEW, OLD])
    assert both.decrypt(old) == TOKEN
    assert Vault([NEW]).decrypt(both.encrypt(TOKEN)) == TOKEN


def test_rotation_moves_a_token_to_the_first_key() -> None:
    rotated = Vault([NEW, OLD]).rotate(Vault([OLD]).encrypt(TOKEN))
    assert Vault([NEW]).decrypt(rotated) == TOKEN
    with pytest.raises(VaultError):
        Vault([OLD]).decrypt(rotated)


USES: list[Callable[[Vault], object]] = [
    lambda vault: vault.encrypt(TOKEN),
    lambda vault: vault.decrypt(b"x"),
    lambda vault: vault.rotate(b"x"),
]


@pytest.mark.parametrize("use", USES, ids=["encrypt", "decrypt", "rotate"])
def test_without_a_key_every_use_says_how_to_make_one(use: Callable[[Vault], object]) -> None:
    with pytest.raises(VaultError) as caught:
        use(Vault([]))
    assert str(caught.value) == (
        "there is no key to encrypt tokens with: put one into vault.keys in relay.yaml, or into RELAY_VAULT_KEYS; this "
        'makes one: python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
    )
    assert caught.value.reason == "vault"


@pytest.mark.parametrize("use", USES, ids=["encrypt", "decrypt", "rotate"])
@pytest.mark.parametrize("key", ["hunter2", "schlüssel", "A" * 40 + "====", "!" * 44])
def test_a_key_that_is_none_is_refused_and_not_shown(use: Callable[[Vault], object], key: str) -> None:
    with pytest.raises(VaultError, match="is not a Fernet key; this makes one") as caught:
        use(Vault([OLD, Secret(key)]))
    assert key not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("use", [Vault.decrypt, Vault.rotate])
@pytest.mark.parametrize(
    "ciphertext",
    [b"", b"x", b"\xff" * 100, Vault([OTHER]).encrypt(TOKEN), Vault([OLD]).encrypt(TOKEN)[:-5]],
)
def test_what_no_key_opens(use: Callable[[Vault, bytes], object], ciphertext: bytes) -> None:
    with pytest.raises(VaultError) as caught:
        use(Vault([NEW, OLD]), ciphertext)
    assert str(caught.value).startswith("no key in vault.keys opens this token: ")
    assert caught.value.__suppress_context__


def test_a_ciphertext_that_holds_no_text() -> None:
    with pytest.raises(VaultError, match="opens this token"):
        Vault([OLD]).decrypt(Fernet(OLD.encode()).encrypt(b"\xff"))


def test_nothing_shows_a_key_or_a_token() -> None:
    vault = Vault([OLD])
    opened = vault.decrypt(vault.encrypt(TOKEN))
    for text in (repr(vault), repr(opened), str(opened), f"{opened}"):
        assert OLD.reveal() not in text
        assert TOKEN.reveal() not in text
