"""Vercel's own SDK, installed once from its lock file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SDK = Path(__file__).parent / "sdk"
Runner = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def vercel_sdk() -> Runner:
    """Runs jobs with the SDK; RELAY_TEST_SDK=0 is the only way round it."""
    if os.environ.get("RELAY_TEST_SDK") == "0":
        pytest.skip("RELAY_TEST_SDK=0")
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.fail("the comparison with Vercel's SDK needs node and npm (RELAY_TEST_SDK=0 leaves it out)")
    _install(npm)

    def run(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        lines = _run([node, "driver.mjs"], json.dumps(jobs)).splitlines()
        return [json.loads(line) for line in lines]

    return run


def _install(npm: str) -> None:
    lock = json.loads((SDK / "package-lock.json").read_text())
    for folder, package in lock["packages"].items():
        manifest = SDK / folder / "package.json"
        if folder and (not manifest.exists() or json.loads(manifest.read_text())["version"] != package["version"]):
            _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], "")
            return


def _run(command: list[str], standard_input: str) -> str:
    done = subprocess.run(
        command, cwd=SDK, input=standard_input, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
