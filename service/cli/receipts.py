"""`image-relay receipts`: the webhooks that came in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from service.cli.configuration import config_option, load_settings
from service.cli.documents import lookup_document, purge_document, receipt_document
from service.cli.output import counted, json_option, moment, plain, print_fields, print_json, print_table
from service.cli.store import all_ids, hint_at_more, in_store, opened
from service.cli.trace import print_event
from service.domain.clock import Clock, system_clock
from service.domain.errors import CommandFailed, RelayError, StoreUnavailable
from service.domain.lookups import Lookup
from service.domain.purges import Purge, ReceiptStatus
from service.domain.receipts import Receipt
from service.ingest.pipeline import Pipeline, build_pipelines, table_reader
from service.ingest.ports import Stored
from service.ingest.replay import replay
from service.network import Network
from service.settings.loader import Loaded
from service.store.engine import Engine
from service.store.inbox import Inbox
from service.store.lookups import Lookups

_STATUS = click.Choice([status.value for status in ReceiptStatus if status is not ReceiptStatus.DUPLICATE])


@click.group()
def command() -> None:
    """The webhooks that came in."""


@command.command("list")
@click.option("--source", help="Of this source alone.")
@click.option("--status", type=_STATUS, help="With this status alone.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--before", metavar="ID", help="Go on before this receipt.")
@config_option
@json_option
def list_receipts(
    *, source: str | None, status: str | None, limit: int, before: str | None, config: Path | None, as_json: bool
) -> None:
    """List receipts, newest first."""
    rows = in_store(
        config, lambda _, engine: Inbox(engine).list(source=source, status=status, before=before, limit=limit)
    )
    if as_json:
        print_json([receipt_document(row) for row in rows])
        return
    print_table(
        ("id", "received", "source", "status", "deliveries", "reason"),
        [(row.id, moment(row.received_at), row.source, row.status, row.deliveries, row.reason) for row in rows],
        nothing="There are no such receipts.",
    )
    hint_at_more(rows, limit)


@command.command()
@click.argument("receipt_id", metavar="ID")
@click.option("--body", "body_alone", is_flag=True, help="Write the body alone, byte for byte.")
@config_option
@json_option
def show(*, receipt_id: str, body_alone: bool, config: Path | None, as_json: bool) -> None:
    """Show a receipt: its body, what each rule made of it, and its purges."""
    receipt, purges, lookups = in_store(config, lambda _, engine: _story(engine, receipt_id))
    body = receipt.body or b""
    if body_alone:
        click.echo(body, nl=False)
    elif as_json:
        print_json(
            {
                **receipt_document(receipt),
                "body": body.decode("utf-8", "backslashreplace"),
                "trace": receipt.trace,
                "lookups": [lookup_document(lookup) for lookup in lookups],
                "purges": [{**purge_document(purge), "rule": rule} for purge, rule in purges],
            }
        )
    else:
        _print_receipt(receipt, body, purges, lookups)


async def _story(engine: Engine, receipt_id: str) -> tuple[Receipt, Sequence[tuple[Purge, str]], Sequence[Lookup]]:
    receipt, purges = await _found(Inbox(engine), receipt_id)
    return receipt, purges, await Lookups(engine).of_receipt(receipt_id)


async def _found(inbox: Inbox, receipt_id: str) -> tuple[Receipt, Sequence[tuple[Purge, str]]]:
    receipt = await inbox.get(receipt_id)
    if receipt is None:
        raise CommandFailed(f"there is no receipt {receipt_id}: `image-relay receipts list` shows those there are")
    return receipt, await inbox.purges_of(receipt_id)


def _print_receipt(
    receipt: Receipt, body: bytes, purges: Sequence[tuple[Purge, str]], lookups: Sequence[Lookup]
) -> None:
    again = None if receipt.deliveries == 1 else f"{receipt.deliveries} times, last at {moment(receipt.seen_at)}"
    cut = "" if receipt.whole else f", of which {len(body)} were kept"
    print_fields(
        [
            ("id", receipt.id),
            ("source", receipt.source),
            ("status", receipt.status),
            ("reason", receipt.reason),
            ("received", moment(receipt.received_at)),
            ("delivered", again),
            ("signed", moment(receipt.signed_at)),
            ("verified by", receipt.scheme),
            ("request", f"{receipt.method} {receipt.path}"),
        ]
    )
    click.echo("headers")
    for name, value in receipt.headers.items():
        click.echo(f"  {plain(name)}: {plain(value)}")
    click.echo(f"body, {receipt.body_bytes} bytes{cut}")
    for line in body.decode("utf-8", "backslashreplace").split("\n"):
        click.echo(f"  {plain(line)}".rstrip())
    for number, entry in enumerate(receipt.trace, 1):
        print_event(number, entry["event"], entry["rules"])
    for lookup in lookups:
        error = f": {plain(lookup.last_error)}" if lookup.last_error else ""
        click.echo(f"\nlookup {lookup.id}: {lookup.state}, GET {plain(lookup.url)}")
        click.echo(f"  of asset {plain(lookup.asset_id)}, attempts: {lookup.attempts}{error}")
    for purge, rule in purges:
        click.echo(f"\npurge {purge.id}: {purge.state}, {purge.action} {plain(purge.src_image)}")
        error = f": {plain(purge.last_error)}" if purge.last_error else ""
        click.echo(f"  of {plain(purge.project)}, by rule '{plain(rule)}'{error}")


@command.command("replay")
@click.argument("receipt_ids", metavar="[ID]...", nargs=-1)
@click.option("--status", type=_STATUS, help="In place of ids: every receipt with this status.")
@click.option("--source", help="With --status: of this source alone.")
@config_option
@json_option
def replay_receipts(
    *, receipt_ids: Sequence[str], status: str | None, source: str | None, config: Path | None, as_json: bool
) -> None:
    """Apply the present rules to receipts that are stored already.

    A refused one is verified again first, as at the time it came in.
    """
    if bool(receipt_ids) == bool(status) or (source and not status):
        raise click.UsageError("give receipts' ids, or --status and perhaps --source")
    loaded = load_settings(config)
    outcomes = asyncio.run(_replay_all(loaded, receipt_ids, status, source))
    if as_json:
        print_json([_outcome_document(*outcome) for outcome in outcomes])
    else:
        for receipt_id, result in outcomes:
            click.echo(f"{plain(receipt_id)}: {plain(_told(result))}")
    failed = sum(isinstance(result, RelayError) for _, result in outcomes)
    if failed:
        raise CommandFailed(f"{failed} of {counted(len(outcomes), 'receipt')} could not be replayed")
    if not outcomes:
        click.echo("There are no such receipts.", err=True)


Outcome = tuple[str, Stored | RelayError]


async def _replay_all(
    loaded: Loaded, receipt_ids: Sequence[str], status: str | None, source: str | None
) -> list[Outcome]:
    """Each receipt's end; raises StoreUnavailable, which would be the end of every other one too."""
    pipelines = build_pipelines(loaded.settings, table_reader(loaded.folder))
    async with opened(loaded.settings) as engine, Network.open() as network:
        inbox, clock = Inbox(engine), engine.clock(system_clock)
        ids = receipt_ids or await all_ids(inbox.list, status=status, source=source)
        return [(one, await _replayed(one, inbox, pipelines, network, clock)) for one in ids]


async def _replayed(
    receipt_id: str, inbox: Inbox, pipelines: dict[str, Pipeline], network: Network, clock: Clock
) -> Stored | RelayError:
    try:
        receipt, _ = await _found(inbox, receipt_id)
        if receipt.source not in pipelines:
            raise CommandFailed(f"its source {receipt.source!r} is no longer in the configuration")
        return await replay(receipt, pipelines[receipt.source], inbox, clock(), network)
    except StoreUnavailable:
        raise
    except RelayError as error:
        return error


def _told(result: Stored | RelayError) -> str:
    if isinstance(result, RelayError):
        return f"not replayed: {result}"
    reason = f" ({result.reason})" if result.reason else ""
    return f"{result.status}, {counted(result.purges, 'purge')}{reason}"


def _outcome_document(receipt_id: str, result: Stored | RelayError) -> dict[str, Any]:
    if isinstance(result, RelayError):
        return {"id": receipt_id, "status": None, "reason": None, "purges": 0, "error": str(result)}
    return {
        "id": receipt_id,
        "status": result.status.value,
        "reason": result.reason,
        "purges": result.purges,
        "error": None,
    }
