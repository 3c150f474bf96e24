"""`explain` judges recorded webhooks as their vendors do, from nothing but the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.commands import TOKEN, Relay

VECTORS = Path(__file__).parents[1] / "vectors"
AHEAD = ("one hour in the FUTURE", "1 day in the future")  # let through by the vendor's library alone


def clock(case: Mapping[str, Any]) -> str:
    """When the case is to be judged, in whichever of the files' spellings."""
    if "sanity-webhook-signature" in (headers := {name.lower(): value for name, value in case["headers"].items()}):
        return str(headers["sanity-webhook-signature"][2:15])
    return str(next(case[key] for key in ("clock_ms", "timestamp", "now", "clock") if key in case))


def settings(case: Mapping[str, Any]) -> dict[str, Any]:
    secret = case["secret"]
    found: dict[str, Any] = {"secrets": secret if isinstance(secret, list) else [secret]}
    if "ttl_seconds" in case:
        found["tolerance"] = case["ttl_seconds"]
    if "configured for sha1" in case["note"]:
        found["signature_algorithm"] = "sha1"
    return found


@pytest.mark.parametrize(
    ("file", "provider"),
    [
        ("contentful", "contentful"),
        ("cloudinary", "cloudinary"),
        ("sanity", "sanity"),
        ("standard-webhooks", "standard-webhooks"),
        ("svix", "standard-webhooks"),
    ],
)
def test_the_verdict_of_every_vector(bare: Relay, file: str, provider: str) -> None:
    cases = json.loads((VECTORS / f"{file}.json").read_text())
    judged = 0
    for case in cases:
        if any(words in case["note"] for words in AHEAD):
            continue
        source = {"provider": provider, **settings(case)}
        bare.config.write_text(
            json.dumps({"projects": {"shop": {"project": "my-shop", "token": TOKEN}}, "sources": {"relay": source}})
        )
        headers = [part for name, value in case["headers"].items() for part in ("--header", f"{name}: {value}")]
        more = ("--method", case["method"], "--path", case["path"], "--at", clock(case), "--json")
        done = bare.run("explain", "-", *headers, *more, stdin=case["body"].encode())
        assert done.code == (0 if case["valid"] else 3), (case["note"], done)
        assert done.json["verified"] is case["valid"]
        judged += 1
    assert judged > len(cases) / 2
