"""Whatever a command or a process of the tests writes is searched for the secrets that it was given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# What the tests configure nearly everywhere; what a test makes up for itself comes with its environment.
USUAL = (
    "vcp_fakefakefake0123456789",
    "ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2U=",
    "ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtZmE=",
    "fake-secret-0123456789abcdef",
    "fake-database-password",
)
_SECRET = re.compile("SECRET|TOKEN|PASSWORD|_KEYS?$")
_SHORTEST = 8

_found: list[str] = []


def secrets_in(environ: Mapping[str, str] | None) -> tuple[str, ...]:
    """The values of an environment that nobody may see again."""
    return tuple(
        part
        for name, value in (environ or {}).items()
        if _SECRET.search(name) and not name.endswith("_FILE")
        for part in value.split(",")
        if len(part) >= _SHORTEST
    )


def search(text: str, secrets: Iterable[str], where: str) -> None:
    """Notes each secret that is in the text; the test that runs fails for it."""
    _found.extend(f"{where}: {secret!r} in {text[:300]!r}" for secret in (*USUAL, *secrets) if secret in text)


def taken() -> list[str]:
    """What was noted since the last time."""
    found = _found[:]
    _found.clear()
    return found
