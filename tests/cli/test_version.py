"""`--version` names the commit where it can be known, and never fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from service.cli.version import BUILT_FROM, commit


def checkout(folder: Path) -> Path:
    package = folder / "service"
    package.mkdir()
    (folder / "pyproject.toml").touch()
    return package


def test_what_a_build_left_is_read(tmp_path: Path) -> None:
    (tmp_path / BUILT_FROM).write_text("0123456789abcdef0123456789abcdef01234567\n")
    assert commit(tmp_path) == "0123456789ab"


def test_a_checkout_asks_git(tmp_path: Path) -> None:
    package = checkout(tmp_path)

    def git(*words: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    assert commit(package) is None  # no commit yet
    git("add", "pyproject.toml")
    git("commit", "-qm", "first")
    assert commit(package) == git("rev-parse", "HEAD")[:12]


@pytest.mark.parametrize("left", [b"", b"\xff\xfe", None], ids=["empty", "no text", "nothing"])
def test_without_either_it_is_unknown(tmp_path: Path, left: bytes | None) -> None:
    package = checkout(tmp_path)
    if left is not None:
        (package / BUILT_FROM).write_bytes(left)
    assert commit(package) is None


def test_without_git_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = checkout(tmp_path)
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert commit(package) is None
