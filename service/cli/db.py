"""`image-relay db`: the store's database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from service.cli.configuration import config_option, load_basics
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
    click.echo(f"{store} is up to date")


async def _upgrade(store: str) -> Sequence[str]:
    engine = await open_store(store)
    try:
        return engine.applied
    finally:
        await engine.close()
