"""Recorded webhooks: what the vendors' own libraries made or judged, and captured requests, in tests/vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.base import Provider
from service.providers.verification import verify

VECTORS = Path(__file__).parents[1] / "vectors"

# What the vendor's library lets through and the relay does not: times ahead of the clock.
TOO_NEW = ("1 h in the future", "one hour in the FUTURE", "1 day in the future")


def cases(name: str) -> list[Any]:
    """The cases of one file as parameters, named by their id or else their note."""
    found = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    assert found
    return [pytest.param(case, id=case.get("id") or case["note"][:60]) for case in found]


def request_of(case: Mapping[str, Any]) -> RawRequest:
    return RawRequest.of(case["method"], case["path"], case["headers"], case["body"].encode())


def verdict(provider: Provider, case: Mapping[str, Any], now: datetime, key: bytes | None = None) -> str:
    """`accepted`, or the reason for the refusal. `key` is what would be found at the provider's key URLs."""
    try:
        request = request_of(case)
        provider.key_urls(request)
        verify(provider, request, now, key)
    except Refused as error:
        return error.reason
    return "accepted"


def agrees(said: str, case: Mapping[str, Any]) -> bool:
    return (said == "accepted") is case["valid"]


def lax(case: Mapping[str, Any]) -> bool:
    return any(words in case["note"] for words in TOO_NEW)


def captured(name: str) -> RawRequest:
    """A request as it came over the wire."""
    head, _, body = (VECTORS / "captures" / f"{name}.http").read_bytes().partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = line.split(" ")
    headers = [(key, value) for key, _, value in (one.partition(": ") for one in lines)]
    return RawRequest.of(method, path, headers, body)
