"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import leaks
from support.postgres import fresh_schema

_LONGEST_ID = 48


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Long values get the argument's name and a number: keys are made anew in every process, and ids must not be."""
    return argname if isinstance(val, (str, bytes)) and len(val) > _LONGEST_ID else None


@pytest.fixture(autouse=True)
def _no_secret_in_any_output() -> Iterator[None]:
    """Every command and every process of a test is searched for the secrets it was given."""
    yield
    assert leaks.taken() == []


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store of each kind, not opened."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'relay.db'}"
        return
    with fresh_schema() as place:
        yield place


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL store, not opened."""
    with fresh_schema() as place:
        yield place
