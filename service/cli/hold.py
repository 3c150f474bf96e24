"""`image-relay hold` and `resume`: an operator's hand on a project."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.configuration import config_option, project_named
from service.cli.documents import hold_document
from service.cli.output import json_option, moment, plain, print_json, print_table
from service.cli.store import in_store
from service.domain.clock import system_clock
from service.domain.holds import Hold, HoldKind
from service.settings.model import Settings
from service.store.board import Board
from service.store.engine import Engine


@click.command()
@click.argument("project", required=False)
@click.option("--reason", default="held by an operator", show_default=True, help="What listings say.")
@config_option
@json_option
def hold(*, project: str | None, reason: str, config: Path | None, as_json: bool) -> None:
    """Let a project's purges wait.

    They are kept, and none is sent until `image-relay resume PROJECT`. Without PROJECT: which are on hold now, and why.
    """
    if project is None:
        _list(config, as_json)
        return
    name = project

    async def work(settings: Settings, engine: Engine) -> Hold:
        project_named(settings, name)
        now = engine.clock(system_clock)()
        wanted = Hold(project=name, kind=HoldKind.MANUAL, reason=reason, credential="", since=now, probe_at=now)
        await Board(engine).hold(wanted)
        return wanted

    held = in_store(config, work, create=True)
    print_json(hold_document(held)) if as_json else click.echo(f"{name} is on hold until `image-relay resume {name}`")


def _list(config: Path | None, as_json: bool) -> None:
    holds = list(in_store(config, lambda _, engine: Board(engine).holds()).values())
    if as_json:
        print_json([hold_document(one) for one in holds])
        return
    print_table(
        ("project", "since", "by", "reason"),
        [(one.project, moment(one.since), _by(one.kind), one.reason) for one in holds],
        nothing="No project is on hold.",
    )


def _by(kind: HoldKind) -> str:
    return "an operator" if kind is HoldKind.MANUAL else "an answer of Vercel's"


@click.command()
@click.argument("project")
@config_option
def resume(*, project: str, config: Path | None) -> None:
    """Let a project's purges go on."""

    async def work(settings: Settings, engine: Engine) -> bool:
        board = Board(engine)
        if project not in await board.holds():  # what is held may have left the configuration
            project_named(settings, project)
        return await board.resume(project)

    held = in_store(config, work)
    click.echo(f"{plain(project)} goes on" if held else f"{plain(project)} was not on hold")
