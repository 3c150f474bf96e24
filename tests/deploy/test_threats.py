"""The threat model is held to its word: what it says an attacker cannot do is shown by tests that exist and run."""

from __future__ import annotations

import ast
import hmac
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.senders import CASES, NOW, PROVIDERS, make, secrets, signed

from service.domain.errors import Refused
from service.providers.verification import verify

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "SECURITY.md").read_text()
NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`")
ATTACKERS = (
    "A sender without credentials",
    "A leaked capability URL",
    "A hostile editor of the CMS",
    "A stolen database file",
    "A curious operator",
    "The supply",
)
SKIPS = {"skip", "skipif", "xfail", "importorskip"}


def sections() -> dict[str, str]:
    return {title.strip(): text for title, _, text in (part.partition("\n") for part in TEXT.split("\n## ")[1:])}


def rows(text: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[2:]]


@cache
def functions(path: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((ROOT / path).read_text())
    left_out = [node for node in tree.body if isinstance(node, ast.Assign) and "pytestmark" in ast.unparse(node)]
    assert not any(skips(node) for node in left_out), f"{path} is left out"
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def skips(tree: ast.AST) -> bool:
    """Whether anything in it leaves a test out: a mark, or a call."""
    return any(isinstance(node, ast.Attribute) and node.attr in SKIPS for node in ast.walk(tree))


def test_every_attacker_is_there() -> None:
    assert tuple(sections()) == ATTACKERS


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_what_an_attacker_cannot_do_is_shown_by_tests_that_run(attacker: str) -> None:
    claims = rows(sections()[attacker])
    assert len(claims) >= 4
    for cannot, because, shown in claims:
        assert because
        named = NAMED.findall(shown)
        assert named, f"nothing shows that nobody can {cannot}"
        assert NAMED.sub("", shown).strip(", ") == "", f"not a test: {shown}"
        for path, name in named:
            found = functions(path).get(name)
            assert found is not None, f"{path} has no {name}"
            assert not skips(found), f"{path}::{name} may be left out"


def test_what_attackers_can_do_is_said() -> None:
    assert [name for name in ATTACKERS if "**Can**: " not in sections()[name]] == []


@pytest.mark.parametrize("name", [name for name in PROVIDERS if CASES[name].signing_key is None])
def test_secrets_are_compared_in_constant_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong secret is refused by the comparison that takes as long for a near miss as for a far one."""
    compared = []

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return real(one, other)

    provider, stranger = make(name), make(name, secrets=secrets(CASES[name].new_secret))
    request = signed(stranger)
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", watched)
    with pytest.raises(Refused):
        verify(provider, request, NOW)
    assert compared
