"""Whatever is in the file: settings or ConfigInvalid, nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import ConfigInvalid
from service.settings.checks import Checks
from service.settings.loader import Loaded, from_nodes
from service.settings.model import Settings, Source
from service.settings.report import Report
from service.settings.yaml_nodes import MAX_DEPTH, compose

KEYS = [
    *Settings.__struct_fields__,
    *Source.__struct_fields__,
    "file",
    "<<",
    "${A}",
    "shop",
    "password",
    "keys",
    "token",
]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4) | st.dates()
)
SPELLED = st.sampled_from(
    ["${A}", "${B:-x, [y]}", "${", "$${A}", "${A", "{{ url }}", "http://[", "9" * 400, "sqlite:///", "\0"]
)
TREES = st.recursive(
    SCALARS | SPELLED,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | SPELLED, inner, max_size=5),
    max_leaves=25,
)
LINES = st.lists(
    st.sampled_from([*"{}[]-:?&*!|>'\"#%@,~ \t\n\r", "a: ", "${A}", "- ", "<<: ", "\u2028", "---\n", "!!x "])
)


def outcome(data: bytes, checks: Checks) -> Loaded | ConfigInvalid:
    try:
        return from_nodes(compose(data), {"A": "\udcff", "B": ""}, checks, Report(), Path("relay.yaml"))
    except ConfigInvalid as error:
        return error


def printable(result: Loaded | ConfigInvalid) -> bool:
    """Whether the outcome is settings, or problems that any terminal and log takes."""
    if isinstance(result, Loaded):
        return True
    lines = result.lines()
    return bool(lines) and all(line.isprintable() and line.encode() for line in lines)


@given(tree=st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6))
def test_any_tree(accept_always: Checks, tree: dict[str, object]) -> None:
    data = yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
    assert printable(outcome(data, accept_always))


@given(pieces=LINES)
def test_any_yaml_like_text(accept_always: Checks, pieces: list[str]) -> None:
    assert printable(outcome("".join(pieces).encode(), accept_always))


@given(text=st.text() | st.binary())
def test_any_text(accept_always: Checks, text: str | bytes) -> None:
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    assert printable(outcome(data, accept_always))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "a:\n "])
def test_deep_nesting_is_refused_early(accept_always: Checks, opening: str) -> None:
    text = opening * 50_000 if opening != "a:\n " else "".join(f"{' ' * depth}a:\n" for depth in range(MAX_DEPTH + 10))
    refused = outcome(text.encode(), accept_always)
    assert isinstance(refused, ConfigInvalid)
    assert "is nested more than 32 levels deep" in str(refused)


@pytest.mark.parametrize("key", ["]", "[", "a]", "[0]", "[x]", ".", "..", "'", "a.b", "", "\u202e", "x" * 500])
def test_any_key_has_a_path(accept_always: Checks, key: str) -> None:
    texts: list[dict[str, object]] = [{key: 1}, {"sources": {key: {"bases": {key: []}}}}]
    for text in texts:
        refused = outcome(yaml.safe_dump(text).encode(), accept_always)
        assert isinstance(refused, ConfigInvalid)
        assert printable(refused)
        assert all(problem.line and len(problem.path) < 300 for problem in refused.problems)


def test_aliases_multiply_nothing(accept_always: Checks) -> None:
    text = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert isinstance(outcome(text.encode(), accept_always), ConfigInvalid)
