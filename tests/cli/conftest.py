"""A folder of its own for every test, and no variable of ours in its environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.commands import Relay


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relay:
    """A folder without relay.yaml."""
    for name in [name for name in os.environ if name.startswith("RELAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Relay(tmp_path)


@pytest.fixture
def relay(bare: Relay) -> Relay:
    """A folder with a relay.yaml: the source `hook`, the projects `shop` and `blog`."""
    bare.write()
    return bare
