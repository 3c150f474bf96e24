"""The README is true: its commands are run as they stand, its files are checked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.loopback import serve

from service.providers.registry import PROVIDERS
from service.resolve.presets import PRESETS
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"<!-- tested: ([a-z-]+) -->\n```([a-z]+)\n(.*?)```", re.DOTALL)


def blocks(name: str) -> list[str]:
    found = [text for label, _, text in BLOCK.findall(README) if label == name]
    assert found, f"README.md has no block for {name}"
    return found


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel()
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A newcomer's environment: a new home, and no variable of ours. The relay is this checkout, already installed."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("RELAY_", "VIRTUAL_ENV"))}
    command = tmp_path / "bin" / "image-relay"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
    command.chmod(0o755)
    python = f"{Path(sys.executable).parent}"
    return known | {
        "HOME": str(tmp_path),
        "PATH": f"{command.parent}:{python}:{known['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RELAY_PORT": "0",
    }


def script(folder: Path, text: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    whole = f"set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n{text}"
    return subprocess.run(
        ["bash", "-c", whole], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_five_minutes(tmp_path: Path, vercel: tuple[FakeVercel, str], environ: dict[str, str]) -> None:
    fake, url = vercel
    commands = "".join(blocks("five-minutes"))
    # What installs the package is run by CI in every fresh clone; here the same commands use this checkout.
    commands, left_out = re.subn(r"(?m)^(python3 -m venv|relay-env/bin/pip|export PATH=).*\n", "", commands)
    assert left_out == 3
    port = free_port()
    done = script(tmp_path, commands, environ | {"RELAY_VERCEL_API": url, "RELAY_PORT": str(port)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accepted" in done.stdout
    assert "/hooks/cms" in done.stdout
    assert fake.calls[0]["path"] == "/v9/projects/my-shop"


def test_the_fake_vercel_beside_it(tmp_path: Path, environ: dict[str, str]) -> None:
    text = "".join(blocks("fake")).replace("8090", str(free_port()))
    ask = 'for i in 1 2 3 4 5 6 7 8 9; do curl -fs "$RELAY_VERCEL_API/_calls" && break; sleep 1; done'
    done = script(tmp_path, text + ask, environ)
    assert done.returncode == 0, done.stderr
    assert '"calls": []' in done.stdout


def test_the_configuration(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "relay.yaml").write_text(blocks("config")[0])
    key = "ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtZmE="
    secrets = {"RELAY_VAULT_KEY": key, "VERCEL_TOKEN": "vcp_fakefakefake0123456789", "CONTENTFUL_SECRET": "f" * 64}
    done = script(tmp_path, "image-relay check", environ | secrets)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_lookups(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "relay.yaml").write_text(blocks("lookups")[0])
    secrets = {
        "VERCEL_TOKEN": "vcp_fakefakefake0123456789",
        "DAM_SECRET": "whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2U=",
    }
    names = ("STORYBLOK_SECRET", "STORYBLOK_TOKEN", "DAM_TOKEN")
    done = script(tmp_path, "image-relay check", environ | secrets | dict.fromkeys(names, "fake-fake-fake-0123456789"))
    assert done.returncode == 0, done.stdout + done.stderr
    for preset in PRESETS:
        assert preset in blocks("lookups")[0]


def test_every_provider_is_named() -> None:
    section = README.partition("## Senders")[2].partition("\n## ")[0]
    for name in PROVIDERS:
        assert f"`{name}`" in section, name


def test_the_first_two_commands() -> None:
    """They are targets; CI runs them in a fresh clone, as test_supply.py sees to."""
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?m)^make ([a-z]+)", blocks("make")[0])
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"(?m)^{target}:", makefile), target


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
