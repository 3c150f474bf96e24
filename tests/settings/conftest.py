"""A relay.yaml in a folder of its own, read with checks that accept everything unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from service.domain.errors import ConfigInvalid
from service.settings.checks import Checks
from service.settings.loader import Loaded, load
from service.settings.model import Settings, Source

Read = Callable[..., Loaded]
Problems = Callable[..., list[str]]


def accept_provider(name: str, source: Source) -> object:
    return None


def accept_rules(source: Source, settings: Settings, folder: Path) -> object:
    return None


def no_advice(source: Source) -> list[str]:
    return []


ACCEPT = Checks(build_provider=accept_provider, compile_rules=accept_rules, advise_source=no_advice)


@pytest.fixture
def accept() -> Checks:
    """Checks to which every source is fine."""
    return ACCEPT


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a relay.yaml and load it."""

    def read(text: str | bytes, environ: Mapping[str, str] | None = None, checks: Checks = ACCEPT) -> Loaded:
        file = tmp_path / "relay.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(file, environ or {}, checks)

    return read


@pytest.fixture
def problems(read: Read) -> Problems:
    """Load a relay.yaml that is wrong: its problems as lines, without the file's name."""

    def problems(text: str | bytes, environ: Mapping[str, str] | None = None, checks: Checks = ACCEPT) -> list[str]:
        with pytest.raises(ConfigInvalid) as caught:
            read(text, environ, checks)
        assert caught.value.file.endswith("relay.yaml")
        found = caught.value.problems
        return [f"{problem.line}: {problem.shown()}" if problem.line else problem.shown() for problem in found]

    return problems


@pytest.fixture(scope="session")
def accept_always() -> Checks:
    """As `accept`, for properties: one for all examples."""
    return ACCEPT
