"""Nothing unverified reaches the rules: who may say that a request is verified."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import service

ROOT = Path(service.__file__).parent
# A dry run that says so, and what was verified when it came in.
RESTORED_BY = {"cli/explanation.py", "ingest/pipeline.py"}


@pytest.mark.parametrize(
    ("pattern", "makers"),
    [
        (r"(?<!class )\bVerified\(", {"providers/verification.py"}),
        (r"verification import .*\brestore\b", RESTORED_BY),
        (r"\bverification\.restore\b", set()),
        (r"import verification\b", set()),
    ],
)
def test_a_verified_request_is_made_in_one_place(pattern: str, makers: set[str]) -> None:
    files = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    assert {name for name, text in files.items() if re.search(pattern, text)} == makers
