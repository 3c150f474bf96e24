"""The systemd unit: judged by systemd itself, and held to what the service reads and does."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.cli.serve import GRACE_SECONDS

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "image-relay.service"
LINES = re.findall(r"(?m)^([A-Za-z]+)=(.*)$", UNIT.read_text())
VALUES = dict(LINES)

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="Debian's package systemd is not there")


@analyze
def test_exposure_is_under_2() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=19", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert (done.returncode, float(exposure) < 2.0) == (0, True), done.stdout


@analyze
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # The program is not installed where the tests run.
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


def test_it_is_stopped_only_after_the_drain() -> None:
    assert int(VALUES["TimeoutStopSec"]) > GRACE_SECONDS + 2


def test_it_starts_without_a_network_and_goes_on_trying() -> None:
    assert "network-online.target" not in UNIT.read_text()
    assert (VALUES["Restart"], VALUES["StartLimitIntervalSec"]) == ("on-failure", "0")


def test_it_writes_where_it_may() -> None:
    assert VALUES["ProtectSystem"] == "strict"
    assert VALUES["WorkingDirectory"] == f"/var/lib/{VALUES['StateDirectory']}"


def test_the_type_is_one_the_service_keeps() -> None:
    service = Path(__file__).parents[2] / "service"
    notifies = any("NOTIFY_SOCKET" in path.read_text() for path in service.rglob("*.py"))
    assert VALUES["Type"] == ("notify" if notifies else "exec")
