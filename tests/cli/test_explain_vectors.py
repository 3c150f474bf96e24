"""`explain` judges every recorded webhook as its vendor does, from nothing but the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.commands import TOKEN, Relay
from support.recorded import accepts, files, provider_of
from support.vector_sources import PATIENCE, clock, settings
from support.vectors import lax

REFUSED = 3


def judged() -> list[Any]:
    """Every case with a verdict. The others were recorded for what is in them, and have no credential."""
    return [
        pytest.param(provider_of(file), case, id=f"{file}-{number}")
        for file, cases in files().items()
        for number, case in enumerate(cases)
        if case["valid"] is not None
    ]


def explained(relay: Relay, source: Mapping[str, Any], case: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    projects = {"shop": {"project": "my-shop", "token": TOKEN}}
    relay.config.write_text(json.dumps({"projects": projects, "sources": {"relay": source}}))
    headers = [part for name, value in case["headers"].items() for part in ("--header", f"{name}: {value}")]
    more = ("--method", case["method"], "--path", case["path"], "--at", clock(case), "--json")
    done = relay.run("explain", "-", *headers, *more, stdin=case["body"].encode())
    assert done.out, done.err
    return done.code, done.json


@pytest.mark.parametrize(("provider", "case"), judged())
def test_the_verdict_of_every_vector(bare: Relay, provider: str, case: dict[str, Any]) -> None:
    source = settings(provider, case)
    if lax(case):
        code, found = explained(bare, source, case)
        assert (code, found["reason"]) == (REFUSED, "timestamp_too_new")
        source["tolerance"] = PATIENCE
    code, found = explained(bare, source, case)
    verified = None if accepts(case) and case["method"] != "POST" else accepts(case)  # a handshake is only answered
    assert found["verified"] is verified, (case["note"], found["reason"], found["detail"])
    assert code == (0 if accepts(case) else REFUSED)
