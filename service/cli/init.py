"""`image-relay init`: a commented relay.yaml."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.configuration import config_option
from service.settings.environment import DEFAULT_FILE
from service.settings.init_file import write_init


@click.command()
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@config_option
def command(*, path: Path | None, force: bool, config: Path | None) -> None:
    """Write a relay.yaml to start from.

    PATH is the file to write; left out, it is --config's or relay.yaml.
    """
    chosen = path or config or DEFAULT_FILE
    write_init(chosen, force)
    click.echo(f"wrote {chosen}: set the variables named at its top, then run `image-relay check`")
