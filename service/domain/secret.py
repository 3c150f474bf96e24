"""A value that does not show itself."""

from __future__ import annotations

import hashlib


class Secret:
    """A secret string: `repr`, `str`, formatting and pickling never show it; `reveal()` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def encode(self) -> bytes:
        """The UTF-8 bytes, the form in which nearly every scheme uses a secret as key."""
        return self._value.encode()

    def fingerprint(self) -> str:
        """Twelve hex digits that tell two secrets apart and do not give either away."""
        return hashlib.sha256(b"vercel-image-relay fingerprint\0" + self.encode()).hexdigest()[:12]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")
