"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from support import leaks
from support.postgres import fresh_schema
from support.watching import unwatched, watched

_LONGEST_ID = 48


# Their examples are made at random, so that what they run through is no measure, and there are hundreds of them; or the
# service runs in processes of its own, which watch themselves. `unwatched` says its reason where it stands.
_UNWATCHED = {"hypothesis", "e2e", "durability", "unwatched"}


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: nearly always one is at a test that waits for a lease to end, or a timer."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """From here on coverage watches what belongs to a test, and not what pytest does between."""
    with unwatched():
        return (yield)


def _watches(item: pytest.Item) -> AbstractContextManager[None]:
    return nullcontext() if _UNWATCHED & {mark.name for mark in item.iter_markers()} else watched()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with _watches(item):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with _watches(item):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with _watches(item):
        yield


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Long values get the argument's name and a number: keys are made anew in every process, and ids must not be."""
    return argname if isinstance(val, (str, bytes)) and len(val) > _LONGEST_ID else None


@pytest.fixture(autouse=True, scope="session")
def _a_key_is_read_once() -> Iterator[None]:
    """OpenSSL takes 75 ms to see whether an RSA key's numbers are prime, and senders read theirs for each signature."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serialization, "load_pem_private_key", cache(serialization.load_pem_private_key))
        yield


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
