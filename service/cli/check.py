"""`image-relay check`: every problem at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from service.cli.configuration import config_option, load_settings
from service.cli.output import counted, json_option, print_json
from service.domain.errors import ConfigInvalid, Problem


@click.command()
@config_option
@json_option
@click.pass_context
def command(ctx: click.Context, config: Path | None, as_json: bool) -> None:
    """Say everything that is wrong with the configuration.

    Exit 1 when there is a problem; warnings alone are exit 0.
    """
    try:
        loaded = load_settings(config)
    except ConfigInvalid as error:
        if not as_json:
            raise
        print_json({"valid": False, "file": error.file or None, "problems": _documents(error.problems), "warnings": []})
        ctx.exit(1)
    if as_json:
        warnings = _documents(loaded.warnings)
        file = None if loaded.file is None else str(loaded.file)
        print_json({"valid": True, "file": file, "problems": [], "warnings": warnings})
        return
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning.shown(str(loaded.file or ''))}", err=True)
    settings = loaded.settings
    count = f"{counted(len(settings.sources), 'source')}, {counted(len(settings.projects), 'project')}"
    click.echo(f"{loaded.file or 'the environment'} is fine: {count}")


def _documents(problems: Iterable[Problem]) -> list[dict[str, object]]:
    return [
        {"line": problem.line or None, "path": problem.path or None, "message": problem.message} for problem in problems
    ]
