"""`image-relay db`: the store's database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from service.cli.configuration import config_option, load_basics
from service.domain.errors import CommandFailed
from service.settings.addresses import is_postgres, shown_store, sqlite_path
from service.store import open_store


@click.group()
def command() -> None:
    """The store's database."""


@command.command()
@config_option
def upgrade(*, config: Path | None) -> None:
    """Make the store, or bring it up to date.

    `serve` does so too when it starts.
    """
    store = load_basics(config).settings.store
    applied = asyncio.run(_upgrade(store))
    for name in applied:
        click.echo(f"applied {name}")
    click.echo(f"{shown_store(store)} is up to date")


async def _upgrade(store: str) -> Sequence[str]:
    engine = await open_store(store)
    try:
        return engine.applied
    finally:
        await engine.close()


@command.command()
@click.argument("source")
@config_option
def copy(*, source: str, config: Path | None) -> None:
    """Copy a SQLite store into the configured PostgreSQL store.

    SOURCE is sqlite:///PATH. Stop the relay first, set `store` to the new database, copy, and start again. What was
    broken off may be begun again.
    """
    store = load_basics(config).settings.store
    try:
        path = sqlite_path(source)
        if not is_postgres(store):
            raise CommandFailed(f"the configured store is {store}: set it to postgresql://… first")
    except ValueError as error:
        raise CommandFailed(f"SOURCE {error}") from None
    if not path.exists():
        raise CommandFailed(f"there is no store {source}")
    rows = asyncio.run(_copy(path, store))
    for table, count in rows.items():
        click.echo(f"{table}: {count}")
    click.echo(f"{shown_store(store)} has all of {source}")


async def _copy(path: Path, store: str) -> Mapping[str, int]:
    """While the source is locked, so that nothing is sent from it meanwhile."""
    from service.store.copy import copy_to_postgres

    engine = await open_store(f"sqlite:///{path}")
    try:
        if not await engine.lanes("db copy", 0.0).own(["any"]):
            raise CommandFailed(f"a relay runs on {path}: stop it first")
        return await asyncio.to_thread(copy_to_postgres, path, store, _progress)
    finally:
        await engine.close()


def _progress(table: str, rows: int) -> None:
    """One line that is written over, for whoever watches."""
    if sys.stderr.isatty():
        click.echo(f"\r{table}: {rows} rows ", err=True, nl=False)
