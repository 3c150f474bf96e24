"""The store, as commands use it: for a moment, beside whatever else runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from service.cli.configuration import load_basics
from service.domain.errors import CommandFailed
from service.settings.addresses import is_postgres, shown_store, sqlite_path
from service.settings.model import Settings
from service.store import open_store
from service.store.engine import Engine

T = TypeVar("T")

_PAGE = 500


def exists(settings: Settings) -> bool:
    """Whether there is a store already; a PostgreSQL database that has none says so when it is opened."""
    return is_postgres(settings.store) or sqlite_path(settings.store).exists()


@asynccontextmanager
async def opened(settings: Settings, *, create: bool = False) -> AsyncIterator[Engine]:
    """The store, as it is: only `serve` and `db upgrade` change its schema. `create` makes one where there is none."""
    new = not exists(settings)
    if new and not create:
        raise CommandFailed(
            f"there is no store {shown_store(settings.store)} yet: `image-relay serve` makes it when it starts"
        )
    engine = await open_store(settings.store, upgrade=new)
    try:
        yield engine
    finally:
        await engine.close()


def in_store(config: Path | None, work: Callable[[Settings, Engine], Awaitable[T]], *, create: bool = False) -> T:
    """Do something in the configured store."""
    settings = load_basics(config).settings

    async def run() -> T:
        async with opened(settings, create=create) as engine:
            return await work(settings, engine)

    return asyncio.run(run())


async def all_ids(listing: Callable[..., Awaitable[Sequence[Any]]], **filters: str | None) -> list[str]:
    """The ids of everything a listing has, oldest first."""
    ids: list[str] = []
    while page := await listing(before=ids[-1] if ids else None, limit=_PAGE, **filters):
        ids += [row.id for row in page]
    return ids[::-1]


def hint_at_more(rows: Sequence[Any], limit: int) -> None:
    """Says how to see the next page of a listing, if there may be one."""
    if len(rows) == limit:
        click.echo(f"There may be more: --before {rows[-1].id}", err=True)
