"""`image-relay schema`: relay.yaml's JSON Schema, for editors."""

from __future__ import annotations

import click

from service.cli.output import print_json
from service.settings.schema import json_schema


@click.command()
def command() -> None:
    """Print the JSON Schema of relay.yaml.

    Kept in a file beside relay.yaml, it lets an editor complete and check as you type.
    """
    print_json(json_schema())
