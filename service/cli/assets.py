"""`image-relay assets`: the memory of what a sender's assets were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import click

from service.cli.asset_files import read_assets
from service.cli.configuration import config_option, source_named
from service.cli.documents import asset_document
from service.cli.output import json_option, moment, print_fields, print_json
from service.cli.store import in_store
from service.domain.clock import system_clock
from service.domain.errors import CommandFailed
from service.domain.memory import AssetMemory
from service.settings.model import Settings
from service.store.assets import Assets, Known
from service.store.engine import Engine
from service.store.inbox import Inbox

_BATCH = 200


@click.group()
def command() -> None:
    """What is remembered of a sender's assets."""


@command.command()
@click.argument("source")
@click.argument("asset_id", metavar="ID")
@config_option
@json_option
def show(*, source: str, asset_id: str, config: Path | None, as_json: bool) -> None:
    """Show the URLs an asset has and had, in each environment."""

    async def work(settings: Settings, engine: Engine) -> list[tuple[str, AssetMemory]]:
        name = source_named(settings, source)
        return list(await Inbox(engine).assets(name, asset_id))

    remembered = in_store(config, work)
    if as_json:
        print_json([asset_document(*entry) for entry in remembered])
        return
    if not remembered:
        raise CommandFailed(f"nothing is remembered of {asset_id!r} of the source {source!r}")
    for number, (environment, memory) in enumerate(remembered):
        if number:
            click.echo()
        print_fields(
            [
                ("environment", environment or None),
                ("as of", moment(memory.occurred_at)),
                ("gone", "yes" if memory.gone else None),
                *(("url", url) for url in memory.urls),
                *(("earlier url", url) for url in memory.earlier_urls),
            ]
        )


@command.command("import")
@click.argument("source")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@config_option
def import_(*, source: str, file: str, config: Path | None) -> None:
    """Remember the URLs of assets that were there before the relay.

    FILE has the columns id and url (and environment) in CSV, or {"id": …, "url": …} in JSON, one a line; - is standard
    input. So the first event about an old asset finds its URL, even where the sender tells the id alone. Without an
    environment it is every one in which the asset has had no event yet. What events have told stays; importing again
    changes nothing.
    """

    async def work(settings: Settings, engine: Engine) -> tuple[int, int]:
        name = source_named(settings, source)
        assets, clock, total, new = Assets(engine), engine.clock(system_clock), 0, 0
        with click.open_file(file, "rb") as opened:
            for batch in _batches(read_assets(opened, file)):
                new += await assets.learn(name, batch, clock(), settings.limits.urls_per_asset)
                total += len(batch)
        return total, new

    total, new = in_store(config, work, create=True)
    click.echo(f"{total} assets, {new} of them new")


def _batches(known: Iterable[Known]) -> Iterator[list[Known]]:
    """A transaction each: a webhook waits for no longer than that takes."""
    rest = iter(known)
    while batch := list(islice(rest, _BATCH)):
        yield batch
