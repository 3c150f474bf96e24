"""What a database has to offer the stores above it: transactions, grouped; reads beside them; a dispatcher's lock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from service.domain.clock import Clock
from service.store.statements import Statements

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - an item
Row = Any  # both drivers are set up so that a row answers to column names


class Tx:
    """One open transaction: the named statements, bound to its connection."""

    __slots__ = ("_cursor", "connection", "statements")

    def __init__(self, statements: Statements, connection: Any) -> None:
        self.statements = statements
        self.connection = connection
        self._cursor = connection.cursor()

    def lock(self, names: Iterable[tuple[str, ...]]) -> None:
        """Keep other processes from what these name until the transaction ends: here no other can write anyway."""

    def announce(self, project: str) -> None:
        """Tell the process that sends for a project, once this is committed: here it is this one, or it looks."""

    def run(self, statement: str, **parameters: Any) -> int:
        """Carry out a statement; the number of rows it touched."""
        return int(self._cursor.execute(self.statements[statement], parameters).rowcount)

    def one(self, statement: str, **parameters: Any) -> Row | None:
        """The first row, or None."""
        return self._cursor.execute(self.statements[statement], parameters).fetchone()

    def value(self, statement: str, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.one(statement, **parameters)
        return None if row is None else row[0]

    def all(self, statement: str, **parameters: Any) -> list[Row]:
        """Every row."""
        return list(self._cursor.execute(self.statements[statement], parameters))

    def rows(self, statement: str, rows: Sequence[Sequence[Any]], **scalars: Any) -> list[Row]:
        """Carry out a statement over `VALUES :rows`; what it gives back, in no order."""
        found: list[Row] = []
        for text, parameters in self.statements.over_rows(statement).chunks(rows, scalars):
            cursor = self._cursor.execute(text, parameters)
            if cursor.description is not None:
                found += cursor.fetchall()
        return found


class Lanes(Protocol):
    """Who sends for which project; see service.dispatch.ports."""

    async def own(self, projects: Collection[str]) -> Mapping[str, float]: ...
    async def give_up(self, project: str) -> None: ...


class Engine(Protocol):
    """A database. A job given to `write` may run more than once before it commits: it must be free of side effects
    outside its transaction."""

    @property
    def applied(self) -> Sequence[str]:
        """The names of the migrations that opening it applied."""
        ...

    def write(self, job: Callable[[Tx], T]) -> Awaitable[T]:
        """Run a job in a transaction and return once that is on disk; raises StoreUnavailable."""
        ...

    def write_joined(
        self, join: Callable[[Tx, Sequence[I]], Sequence[T]], items: Sequence[I]
    ) -> Awaitable[Sequence[T | Exception]]:
        """As `write`, for items of which each succeeds or fails by itself: a result or an error for each, in order.
        `join` gets what waits for it together, in order, and gives back a result for each."""
        ...

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Run a reading job on what is committed; raises StoreUnavailable."""
        ...

    def lanes(self, worker: str, seconds: float, /) -> Lanes:
        """Who sends for which project. `worker` names this process; where lanes are leased, they are for `seconds`."""
        ...

    def clock(self, own: Clock, /) -> Clock:
        """What all processes on this database go by, whatever their machines' clocks say; `own` is this machine's."""
        ...

    def listen(self, heard: Callable[[str], None], /) -> None:
        """From now on `heard` is called, in the loop, with projects for which other processes took in something that
        is due at once, as far as the database can tell."""
        ...

    def measure(self, told: Callable[[int, float], None], /) -> None:
        """From now on `told` is called after each commit, by whichever thread made it, with the number of jobs that
        shared it and the seconds it took."""
        ...

    def while_committing(self, work: Callable[[], None], /) -> None:
        """From now on `work` is called in the loop each time a transaction is being put on disk: for what can wait
        until the loop has little else to do."""
        ...

    async def close(self) -> None:
        """Finish what is under way, then let go of the database."""
        ...
