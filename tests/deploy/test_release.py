"""What stands in the way of a release. That two builds are the same bytes, `make wheel` looks at itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DATED = "## [1.2.0] - 2026-11-28\n"


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "deploy" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("changelog", "tags", "status", "says"),
    [
        (DATED, ["v1.1.0"], "", []),
        ("## [1.2.0]\n", [], "", ["no section"]),
        ("## [1x2.0] - 2026-11-28\n", [], "", ["no section"]),
        (DATED, ["v1.2.0"], "", ["there already"]),
        (DATED, [], "?? new", ["not everything is committed"]),
    ],
)
def test_what_is_in_the_way(release: ModuleType, changelog: str, tags: list[str], status: str, says: list[str]) -> None:
    found = release.problems("1.2.0", changelog, tags, status)
    assert len(found) == len(says)
    assert all(word in problem for word, problem in zip(says, found, strict=True))
