"""`image-relay purges`: what webhooks led to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from service.cli.configuration import config_option
from service.cli.documents import attempt_document, purge_document
from service.cli.output import counted, json_option, moment, plain, print_fields, print_json, print_table
from service.cli.store import hint_at_more, in_store
from service.domain.attempts import Attempt
from service.domain.clock import from_ms, system_clock
from service.domain.errors import CommandFailed
from service.domain.purges import Action, Purge, PurgeState
from service.store.engine import Engine
from service.store.purges import Purges, PurgeStory

_STATE = click.Choice([state.value for state in PurgeState])


@click.group()
def command() -> None:
    """The purges they led to."""


@command.command("list")
@click.option("--project", help="Of this project alone.")
@click.option("--state", type=_STATE, help="In this state alone.")
@click.option("--image", help="Of this source image alone.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--before", metavar="ID", help="Go on before this purge.")
@config_option
@json_option
def list_purges(
    *,
    project: str | None,
    state: str | None,
    image: str | None,
    limit: int,
    before: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """List purges, newest first."""
    rows = in_store(
        config,
        lambda _, engine: Purges(engine).list(
            project=project, state=state, src_image=image, before=before, limit=limit
        ),
    )
    if as_json:
        print_json([purge_document(row) for row in rows])
        return
    print_table(
        ("id", "created", "project", "state", "action", "image", "attempts", "last error"),
        [_row(row) for row in rows],
        nothing="There are no such purges.",
    )
    hint_at_more(rows, limit)


def _row(purge: Purge) -> tuple[object, ...]:
    created = moment(purge.created_at)
    about = (purge.action, purge.src_image, purge.attempts, purge.last_error)
    return purge.id, created, purge.project, purge.state, *about


@command.command()
@click.argument("purge_id", metavar="ID")
@config_option
@json_option
def show(*, purge_id: str, config: Path | None, as_json: bool) -> None:
    """Show a purge: the calls made for it, and the receipts that asked for it."""
    story = in_store(config, lambda _, engine: Purges(engine).get(purge_id))
    if story is None:
        raise CommandFailed(f"there is no purge {purge_id}: `image-relay purges list` shows those there are")
    if as_json:
        attempts = [attempt_document(attempt) for attempt in story.attempts]
        print_json({**purge_document(story.purge), "calls": attempts, "receipts": _receipts(story)})
    else:
        _print_story(story)


def _receipts(story: PurgeStory) -> list[dict[str, object]]:
    return [{**receipt, "received_at": moment(from_ms(receipt["received_at"]))} for receipt in story.receipts]


def _print_story(story: PurgeStory) -> None:
    purge = story.purge
    waits = purge.state is PurgeState.PENDING
    print_fields(
        [
            ("id", purge.id),
            ("project", purge.project),
            ("image", purge.src_image),
            ("action", purge.action),
            ("deadline", f"{purge.deadline} s" if purge.action is Action.DELETE else None),
            ("state", purge.state),
            ("superseded by", purge.superseded_by),
            ("created", moment(purge.created_at)),
            ("due", moment(purge.due_at) if waits else None),
            ("failing since", moment(purge.failing_since)),
            ("finished", moment(purge.finished_at)),
            ("events", purge.events),
            ("last error", purge.last_error),
        ]
    )
    for attempt in story.attempts:
        click.echo(f"\ncall {attempt.call_id} at {moment(attempt.at)}: {plain(_told(attempt))}")
    for receipt in _receipts(story):
        click.echo(f"\nreceipt {receipt['id']} at {receipt['received_at']}: {plain(receipt['source'])}")
        click.echo(f"  by rule '{plain(receipt['rule'])}'")


def _told(attempt: Attempt) -> str:
    return f"{attempt.outcome}, {attempt.reason} ({counted(attempt.images, 'image')}, {attempt.duration_ms} ms)"


@command.command()
@click.argument("purge_ids", metavar="[ID]...", nargs=-1)
@click.option("--dead", is_flag=True, help="In place of ids: every dead letter.")
@click.option("--project", help="With --dead: of this project alone.")
@config_option
def retry(*, purge_ids: Sequence[str], dead: bool, project: str | None, config: Path | None) -> None:
    """Make dead, dropped or waiting purges due now."""
    if bool(purge_ids) == dead or (project and not dead):
        raise click.UsageError("give purges' ids, or --dead and perhaps --project")

    async def work(engine: Engine) -> int:
        purges, now = Purges(engine), engine.clock(system_clock)()
        if purge_ids:
            for purge_id in purge_ids:
                await purges.retry(purge_id, now)
            return len(purge_ids)
        dead = {one.project for one in await purges.backlog() if one.state is PurgeState.DEAD}
        wanted = dead if project is None else dead & {project}
        return sum([await purges.retry_dead(name, now) for name in sorted(wanted)])

    count = in_store(config, lambda _, engine: work(engine))
    click.echo(f"{counted(count, 'purge')} will be sent again" if count else "no purge is dead")


@command.command()
@click.argument("purge_ids", metavar="ID...", nargs=-1, required=True)
@config_option
def drop(*, purge_ids: Sequence[str], config: Path | None) -> None:
    """End pending or dead purges without a call."""

    async def work(engine: Engine) -> None:
        for purge_id in purge_ids:
            await Purges(engine).drop(purge_id, engine.clock(system_clock)())

    in_store(config, lambda _, engine: work(engine))
    click.echo(f"{counted(len(purge_ids), 'purge')} dropped")
