"""`image-relay assets`: the memory of what a sender's assets were."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.configuration import config_option, source_named
from service.cli.documents import asset_document
from service.cli.output import json_option, moment, print_fields, print_json
from service.cli.store import in_store
from service.domain.errors import CommandFailed
from service.domain.memory import AssetMemory
from service.settings.model import Settings
from service.store.engine import Engine
from service.store.inbox import Inbox


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
