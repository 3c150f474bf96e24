"""What stands in the way of a release, and that what differs when it is made again is not handed out."""

from __future__ import annotations

import platform
import sys
from itertools import count
from pathlib import Path

import pytest

from deploy.debian.build import missing
from deploy.release import problems, publish

DATED = "## [1.2.0] - 2026-11-28\n"


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
def test_what_is_in_the_way(changelog: str, tags: list[str], status: str, says: list[str]) -> None:
    found = problems("1.2.0", changelog, tags, status)
    assert len(found) == len(says)
    assert all(word in problem for word, problem in zip(says, found, strict=True))


def test_the_same_bytes_are_handed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(lambda folder: Path(folder, "made").write_text("same"), tmp_path / "dist")
    assert (tmp_path / "dist" / "made").read_text() == "same"
    digest = "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5"
    assert capsys.readouterr().out == f"{digest}  {tmp_path / 'dist' / 'made'}\n"


def test_what_differs_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = count()
    assert not publish(lambda folder: Path(folder, "made").write_text(str(next(numbers))), tmp_path / "dist")
    assert list((tmp_path / "dist").iterdir()) == []
    assert "two builds differ" in capsys.readouterr().err


def test_a_machine_that_cannot_build_the_package_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert "nfpm is not in the PATH" in (missing() or "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "x86_64 or aarch64" in (missing() or "")
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    assert "Python is 3.11" in (missing() or "")
