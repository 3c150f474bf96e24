"""Stored tokens, encrypted with Fernet keys: the first key encrypts, every key decrypts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.domain.errors import VaultError
from service.domain.secret import Secret
from service.settings.checks import KEY_COMMAND

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class Vault:
    """Encrypts and decrypts; without a key it exists and every use raises VaultError."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        self._keys = tuple(keys)
        self._opened: MultiFernet | None = None

    def encrypt(self, token: Secret) -> bytes:
        """The token's ciphertext under the first key."""
        return self._fernet().encrypt(token.encode())

    def decrypt(self, ciphertext: bytes) -> Secret:
        """The token in a ciphertext any of the keys made; raises VaultError where none of them did."""
        from cryptography.fernet import InvalidToken

        try:
            return Secret(self._fernet().decrypt(ciphertext).decode())
        except (InvalidToken, UnicodeDecodeError):
            raise _unopened() from None

    def rotate(self, ciphertext: bytes) -> bytes:
        """The same token under the first key; raises VaultError where no key opens it."""
        from cryptography.fernet import InvalidToken

        try:
            return self._fernet().rotate(ciphertext)
        except InvalidToken:
            raise _unopened() from None

    def _fernet(self) -> MultiFernet:
        if self._opened is None:
            if not self._keys:
                raise VaultError(
                    "there is no key to encrypt tokens with: put one into vault.keys in relay.yaml, or into "
                    f"RELAY_VAULT_KEYS; this makes one: {KEY_COMMAND}"
                )
            # Imported here: a relay whose tokens are all in its file does not pay for it.
            from cryptography.fernet import Fernet, MultiFernet

            try:
                self._opened = MultiFernet([Fernet(key.encode()) for key in self._keys])
            except ValueError:
                raise VaultError(f"a key of the vault is not a Fernet key; this makes one: {KEY_COMMAND}") from None
        return self._opened


def _unopened() -> VaultError:
    return VaultError(
        "no key in vault.keys opens this token: add the key that it was stored with, or store the token again with "
        "`image-relay tokens set`"
    )
