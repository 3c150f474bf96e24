"""PostgreSQL: the same group commits as on SQLite, and any number of processes beside each other.

Every transaction is self-contained (no prepared statements, no session settings, no session locks), so that PgBouncer
may stand between in transaction mode: https://www.pgbouncer.org/features.html
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from time import monotonic
from typing import Any, Self, TypeVar, cast
from urllib.parse import urlsplit

import psycopg
from psycopg import errors
from psycopg.abc import Buffer, PQGen
from psycopg.rows import RowMaker
from psycopg.types.string import StrDumper

from service.domain.clock import Clock
from service.domain.errors import StoreUnavailable
from service.store.engine import Tx
from service.store.lanes import LeasedLanes
from service.store.migrate import outdated
from service.store.postgres_clock import DatabaseClock
from service.store.postgres_schema import missing_migrations, upgrade_postgres
from service.store.postgres_wakes import Listener, notify
from service.store.statements import Statements, for_psycopg, load_statements
from service.store.threaded import ThreadedEngine

T = TypeVar("T")

_CONNECT_SECONDS = 5
_SILENT_SECONDS = 12.0  # the server ends a statement after ten; what is longer in coming does not come
# A process that is frozen in the middle of a transaction would keep what it holds from all others for as long.
_BOUNDED = "SET LOCAL statement_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '10s'"
# On whatever the server's own default is: https://www.postgresql.org/docs/current/runtime-config-wal.html
_BEGIN = f"BEGIN; SET LOCAL synchronous_commit = on; SET LOCAL lock_timeout = '5s'; {_BOUNDED}"
_BEGIN_READING = f"BEGIN READ ONLY; {_BOUNDED}"

# What a statement of ours can do wrong by itself; every other error is the server's, the network's or a lock's.
_OF_THE_JOB = (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError, psycopg.NotSupportedError)
# A unique violation is one that a look beforehand would have found, had the other transaction been over.
_IN_THE_WAY = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation)

_LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest(%s::bigint[]) AS number"
_SAME_IMAGE = re.compile(r"((?:[a-z]+\.)?src_image) = ((?:[a-z]+\.)?src_image|%\(src_image\)s)")


class Row(tuple[Any, ...]):
    """A row that answers to column names as well as to positions, as SQLite's do."""

    __slots__ = ()
    names: Mapping[str, int]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self.names[key] if isinstance(key, str) else key)

    def keys(self) -> Iterator[str]:
        """The columns' names, in order."""
        return iter(self.names)


def _named_rows(cursor: psycopg.Cursor[Any]) -> RowMaker[Row]:
    return _row_class(tuple(column.name for column in cursor.description or ()))


@lru_cache(maxsize=256)
def _row_class(names: tuple[str, ...]) -> type[Row]:
    """A class a shape of result: the names belong to all of its rows."""
    return cast(type[Row], type("Row", (Row,), {"__slots__": (), "names": {name: at for at, name in enumerate(names)}}))


class _TextDumper(StrDumper):
    """PostgreSQL's text holds no NUL: where a sender put one into a path or a name, its symbol takes the place."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\u2400") if "\0" in obj else obj)


class PostgresTx(Tx):
    """A transaction among those of other processes."""

    __slots__ = ()

    def lock(self, names: Iterable[tuple[str, ...]]) -> None:
        # In one order everywhere, so that no two transactions wait for each other.
        self._cursor.execute(_LOCK, [sorted({_number(*one) for one in names})])

    def announce(self, project: str) -> None:
        notify(self._cursor, project)


class _Connection(psycopg.Connection[Row]):
    """A connection that waits for an answer so many seconds: where the network lets nothing pass, or PgBouncer waits
    for a server, nothing else would ever end it. None: for as long as it takes, as migrations do."""

    patience: float | None = None

    def wait(self, gen: PQGen[T], *args: Any, **options: Any) -> T:
        if self.patience is None:
            return super().wait(gen, *args, **options)
        return super().wait(self._patiently(gen, monotonic() + self.patience), *args, **options)

    def _patiently(self, gen: PQGen[T], deadline: float) -> PQGen[T]:
        """The same steps; psycopg comes by every tenth of a second, ready or not."""
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and monotonic() > deadline:
                    self.close()
                    raise psycopg.OperationalError(f"no answer within {self.patience:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            return cast(T, end.value)


class Server:
    """Where the database is; its URL's password is shown nowhere."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        self.shown = f"{parts.hostname or 'the local socket'}{parts.path}"

    def connect(self) -> _Connection:
        """A new connection in autocommit mode; raises psycopg.Error."""
        connection = self.connect_to_listen()
        # Behind PgBouncer a LISTEN stays with whichever connection of the server's it was said on, and what is heard
        # there comes to whoever uses that next: psycopg would keep it all for a reader that never comes.
        connection.add_notify_handler(_not_for_us)
        return connection

    def connect_to_listen(self) -> _Connection:
        """The same, with notifications kept until they are asked for."""
        connection = _Connection.connect(
            self._url,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=_CONNECT_SECONDS,
            cursor_factory=psycopg.ClientCursor,
            row_factory=_named_rows,
            application_name="vercel-image-relay",
        )
        connection.adapters.register_dumper(str, _TextDumper)
        return connection


class _Writer:
    """The writing thread's connection: opened anew after whatever ended it."""

    in_process = False

    def __init__(self, server: Server, statements: Statements) -> None:
        self._server = server
        self._statements = statements
        self._connection: _Connection | None = None

    def prepare(self, *, upgrade: bool) -> Sequence[str]:
        """Connect, and bring the database up to date; the names of the migrations that took."""
        self._connection = self._server.connect()
        if upgrade:
            return upgrade_postgres(self._connection)
        if missing := missing_migrations(self._connection):
            raise outdated(missing)
        return ()

    def begin(self, _waits: Callable[[], None], /) -> PostgresTx:
        connection = self._connection
        if connection is not None:
            connection.patience = _SILENT_SECONDS
            try:
                connection.execute(_BEGIN)
                return PostgresTx(self._statements, connection)
            except psycopg.OperationalError:  # the server was restarted or gave way to another since the last one
                self.drop()
        self._connection = connection = self._server.connect()
        connection.patience = _SILENT_SECONDS
        connection.execute(_BEGIN)
        return PostgresTx(self._statements, connection)

    def commit(self) -> None:
        assert self._connection is not None, "a transaction has been begun"
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg.Error:
            self.drop()

    def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def of_the_job(self, error: Exception) -> bool:
        return not isinstance(error, psycopg.Error) or isinstance(error, _OF_THE_JOB)

    def in_the_way(self, error: Exception, /) -> bool:
        return isinstance(error, _IN_THE_WAY)

    def trouble(self, error: Exception) -> StoreUnavailable:
        return StoreUnavailable(f"the store at {self._server.shown} cannot commit: {_told(error)}")


class PostgresEngine(ThreadedEngine):
    """An open PostgreSQL database. Create with `open`."""

    def __init__(self, url: str) -> None:
        self._server = Server(url)
        self._statements = statements()
        self._database = _Writer(self._server, self._statements)
        super().__init__(self._database)
        self._reader = threading.local()
        self._reading: set[psycopg.Connection[Row]] = set()
        self._listener: Listener | None = None
        self._clock = DatabaseClock()
        self._following: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: str, *, upgrade: bool = True) -> PostgresEngine:
        """Open and upgrade as needed; raises StoreUnavailable with the place and the remedy.

        Without `upgrade` nothing is changed, and a database that is not up to date is refused.
        """
        return await cls(url).opened(upgrade=upgrade)

    async def opened(self, *, upgrade: bool) -> Self:
        """This engine, once its database is open; raises StoreUnavailable."""
        await super().opened(upgrade=upgrade)
        self._following = asyncio.create_task(self._clock.follow(self.read))
        return self

    async def close(self) -> None:
        """Finish what waits, then let go of the database."""
        if self._following is not None:
            self._following.cancel()
        await super().close()

    def _prepare(self, upgrade: bool) -> None:
        try:
            self.applied = self._database.prepare(upgrade=upgrade)
        except psycopg.Error as error:
            raise StoreUnavailable(
                f"cannot open the store at {self._server.shown}: {_told(error)}; check that the server runs, that "
                "the database exists, and that its user may create tables in it"
            ) from None
        self._read(self._clock.look)  # before anything asks what time it is

    def _read(self, job: Callable[[Tx], T]) -> T:
        try:
            connection = self._begin_reading()
            try:
                return job(PostgresTx(self._statements, connection))
            finally:
                connection.rollback()
        except psycopg.Error as error:
            self._drop_reader()
            raise StoreUnavailable(f"the store at {self._server.shown} cannot be read: {_told(error)}") from None

    def _begin_reading(self) -> psycopg.Connection[Row]:
        connection: psycopg.Connection[Row] | None = getattr(self._reader, "connection", None)
        if connection is not None:
            try:
                connection.execute(_BEGIN_READING)
                return connection
            except psycopg.OperationalError:
                self._drop_reader()
        connection = self._reader.connection = self._server.connect()
        connection.patience = _SILENT_SECONDS
        self._reading.add(connection)
        connection.execute(_BEGIN_READING)
        return connection

    def _drop_reader(self) -> None:
        connection: psycopg.Connection[Row] | None = getattr(self._reader, "connection", None)
        if connection is not None:
            self._reader.connection = None
            self._reading.discard(connection)
            with suppress(psycopg.Error):
                connection.close()

    def clock(self, own: Clock, /) -> Clock:
        """The database's clock."""
        return self._clock.corrected(own)

    def listen(self, heard: Callable[[str], None], /) -> None:
        """Hear of what other processes take in; for the loop's own life."""
        self._listener = Listener(self._server.connect_to_listen, heard)
        self._listener.start()

    def lanes(self, worker: str, seconds: float, /) -> LeasedLanes:
        """Lanes leased for `seconds`, among all processes on this database."""
        return LeasedLanes(self, worker, seconds, self._loop.time)

    def _let_go(self) -> None:
        if self._listener is not None:
            self._listener.end()
        for connection in self._reading:
            connection.close()


def statements() -> Statements:
    """The named statements as PostgreSQL takes them, with source images compared by the digests that the indexes are
    over."""
    texts = for_psycopg(load_statements("postgres"))
    return Statements(
        {
            name: _SAME_IMAGE.sub(r"image_key(\1) = image_key(\2)", sql).replace(
                "(project, src_image, action)", "(project, image_key(src_image), action)"
            )
            for name, sql in texts.items()
        }
    )


def _not_for_us(notice: psycopg.Notify) -> None:
    """Drops a notification."""


def _number(*names: str) -> int:
    """What stands for these among the server's advisory locks."""
    digest = sha256("\0".join(names).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], signed=True)


def _told(error: Exception) -> str:
    """The first line of what the server said: the others quote the statement, which holds what senders sent."""
    return str(error).partition("\n")[0].strip() or type(error).__name__
