"""Every recorded webhook in tests/vectors, with the provider that it is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from support.vectors import VECTORS

# Files whose name is the vendor's or a library's; a file named like a provider is that provider's.
PROVIDER_OF_FILE = {
    "bynder-amazon-sns": "bynder",
    "slack": "slack-style",
    "stripe": "stripe-style",
    "svix": "standard-webhooks",
    "wordpress-wp-webhooks-plugin": "wordpress-wp-webhooks",
}
KEYS_ALONE = "storage-public-keys"  # what the vendors publish beside the recorded requests

# Where the relay's verdict is another than the one recorded, which is some library's, and why.
OURS = {
    "adobe-io-events-docs-field-only": "Adobe's library looks for a field that Adobe's documentation does not have",
}


@cache
def files() -> Mapping[str, list[dict[str, Any]]]:
    """The cases of each file."""
    found = {path.stem: json.loads(path.read_bytes()) for path in sorted(VECTORS.glob("*.json"))}
    found.pop(KEYS_ALONE, None)
    return found


def accepts(case: Mapping[str, Any]) -> bool:
    """The relay's verdict: the recorded one, or ours."""
    return case["valid"] is not (case.get("id") in OURS)


def provider_of(file: str) -> str:
    return PROVIDER_OF_FILE.get(file, file)


def recorded(provider: str) -> list[dict[str, Any]]:
    """Every recorded request that is for a provider."""
    return [case for file, cases in files().items() if provider_of(file) == provider for case in cases]
