"""The page on adding a provider: what it says is done on a copy, and the tests of every provider run on the result."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "service" / "providers" / "ADDING.md"
SHARED = ("test_base.py", "test_round_trips.py", "test_hostile_input.py", "test_page.py")
SECONDS = 120


def block(language: str) -> str:
    """The page's one block of code in this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project with the page's provider in it."""
    left_out = shutil.ignore_patterns("node_modules")
    for name in ("service", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    providers = tmp_path / "service" / "providers"
    (providers / "acme.py").write_text(block("python"))
    registry = providers / "registry.py"
    opening = "PROVIDERS: dict[str, str] = {\n"
    text = registry.read_text()
    assert opening in text
    registry.write_text(text.replace(opening, opening + block("text")))
    (tmp_path / "tests" / "providers" / "cases" / "acme.json").write_text(block("json"))
    return tmp_path


def run(copy: Path, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_passes_what_is_tested_for_every_provider(copy: Path) -> None:
    files = [f"tests/providers/{name}" for name in SHARED]
    told = run(copy, "-m", "pytest", "-q", "-n0", "-k", "acme", *files)
    found = re.search(r"(\d+) passed", told)
    assert found is not None, told
    assert int(found[1]) > 50
    assert "acme" in run(copy, "-m", "service", "providers")


def test_the_example_is_as_tidy_as_the_rest(copy: Path) -> None:
    example = "service/providers/acme.py"
    run(copy, "-m", "ruff", "check", "--no-cache", example)
    run(copy, "-m", "ruff", "format", "--no-cache", "--check", example)
