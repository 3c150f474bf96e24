"""`image-relay doctor`: everything that is wrong, at three in the morning, with what to do about each."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import asdict

from service.cli.address import address_of
from service.cli.configuration import config_option, load_settings
from service.cli.output import json_option, plain, print_json
from service.cli.ping import ask
from service.cli.store import opened
from service.cli.token_check import check_projects
from service.domain.clock import system_clock
from service.domain.errors import CommandFailed, RelayError, VaultError
from service.domain.purges import PurgeState, ReceiptStatus
from service.domain.receipts import Receipt
from service.settings.addresses import is_postgres, shown_store, sqlite_path
from service.settings.loader import Loaded
from service.settings.model import Settings
from service.store.board import Board
from service.store.engine import Engine
from service.store.inbox import Inbox
from service.store.lookups import Lookups
from service.store.purges import Purges
from service.store.tokens import Tokens
from service.vault import Vault

_LITTLE_ROOM = 256 * 1024 * 1024  # bytes left on the store's disk
_LATE = timedelta(minutes=10)  # that a purge may wait for without anything being odd
_LATELY = timedelta(hours=24)
_LOOKED_AT = 200  # receipts


class Finding(Struct, frozen=True):
    """`level` is ok, warning or problem; `remedy` says what to do, empty where there is nothing to do."""

    level: str
    about: str
    found: str
    remedy: str = ""


@click.command()
@click.option("--offline", is_flag=True, help="Ask neither Vercel nor a running relay.")
@config_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, offline: bool, config: Path | None, as_json: bool) -> None:
    """Look for what is wrong, and say what to do.

    Reads the configuration and the store, and asks Vercel about every project; changes nothing. Exit 1 where there is
    a problem.
    """
    loaded = load_settings(config)
    findings = asyncio.run(_examined(loaded, offline=offline))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _show(finding)
    ctx.exit(any(finding.level == "problem" for finding in findings))


def _show(finding: Finding) -> None:
    mark = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}[finding.level]
    click.echo(f"{mark}  {plain(finding.about)}: {plain(finding.found)}")
    if finding.remedy:
        click.echo(f"         → {plain(finding.remedy)}")


async def _examined(loaded: Loaded, *, offline: bool) -> list[Finding]:
    settings = loaded.settings
    findings = [
        Finding("warning", "configuration", warning.shown(str(loaded.file or ""))) for warning in loaded.warnings
    ]
    place = loaded.file or "the environment"
    findings.append(Finding("ok", "configuration", f"{place} is valid, {len(settings.sources)} sources"))
    try:
        async with opened(settings) as engine:
            findings += [finding async for finding in _of_store(settings, engine)]
    except RelayError as error:
        findings.append(Finding("problem", "store", str(error)))
    if not offline:
        findings += await _of_network(settings)
    return findings


async def _of_store(settings: Settings, engine: Engine) -> AsyncIterator[Finding]:
    await engine.write(lambda _: None)
    yield Finding("ok", "store", f"{shown_store(settings.store)} is up to date and can be written")
    if not is_postgres(settings.store):
        free = shutil.disk_usage(sqlite_path(settings.store).absolute().parent).free
        if free < _LITTLE_ROOM:
            yield Finding("warning", "store", f"{free // 1024**2} MB are free on its disk", "make room")
    yield await _of_vault(settings, engine)
    now = engine.clock(system_clock)()
    if abs(ahead := (system_clock() - now).total_seconds()) >= 1:
        found = f"this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's"
        yield Finding("warning", "clock", found, "let NTP set both; the relay goes by the database's meanwhile")
    for hold in (await Board(engine).holds()).values():
        remedy = f"mend that, then `image-relay resume {hold.project}`; nothing is lost meanwhile"
        yield Finding("problem", f"project {hold.project}", f"on hold: {hold.reason}", remedy)
    async for finding in _of_purges(engine, now):
        yield finding
    for failing in await Lookups(engine).failing():
        found = f"{failing.lookups} lookups fail: {failing.reason}"
        yield Finding("warning", f"source {failing.source}", found, "look at its `resolve` and its API")
    for finding in _of_refusals(await Inbox(engine).list(status=ReceiptStatus.REFUSED, limit=_LOOKED_AT), now):
        yield finding


async def _of_vault(settings: Settings, engine: Engine) -> Finding:
    stored = await Tokens(engine).list()
    vault = Vault(settings.vault.keys)
    try:
        for token in stored:
            vault.decrypt(token.ciphertext)
    except VaultError as error:
        return Finding("problem", "vault", str(error), "put the key that encrypted them back into vault.keys")
    return Finding("ok", "vault", f"{len(stored)} stored tokens can be read")


async def _of_purges(engine: Engine, now: datetime) -> AsyncIterator[Finding]:
    for backlog in await Purges(engine).backlog():
        about = f"project {backlog.project}"
        if backlog.state is PurgeState.DEAD:
            remedy = f"`image-relay purges list --project {backlog.project} --state dead` says why of each"
            yield Finding("warning", about, f"{backlog.purges} dead purges", remedy)
        elif backlog.state is PurgeState.PENDING and now - backlog.oldest > _LATE:
            minutes = (now - backlog.oldest) // timedelta(minutes=1)
            found = f"{backlog.purges} purges wait, the oldest for {minutes} minutes"
            yield Finding("warning", about, found, "does `serve` run, and what does its log say of `purge.sent`?")


def _of_refusals(receipts: Sequence[Receipt], now: datetime) -> list[Finding]:
    """The commonest reason of each source's refusals of late."""
    lately = [one for one in receipts if now - one.received_at < _LATELY]
    counted = Counter((one.source, (one.reason or "").partition(":")[0]) for one in lately)
    return [
        Finding(
            "warning",
            f"source {source}",
            f"{count} requests were refused within a day: {reason}",
            "compare the secret at the sender with `secrets`, and this machine's clock with the time"
            if "credential" in reason or "signature" in reason or "timestamp" in reason
            else f"`image-relay receipts list --source {source} --status refused` shows them",
        )
        for (source, reason), count in counted.most_common(10)
    ]


async def _of_network(settings: Settings) -> list[Finding]:
    findings = []
    for verdict in await check_projects(settings, list(settings.projects)):
        level, remedy = ("ok", "") if verdict.fine else ("problem", f"`image-relay tokens check {verdict.project}`")
        findings.append(Finding(level, f"project {verdict.project}", verdict.message, remedy))
    try:
        problem = await asyncio.to_thread(ask, address_of(settings.server))
    except CommandFailed as error:
        return [*findings, Finding("warning", "relay", str(error))]
    if problem is None:
        return [*findings, Finding("ok", "relay", "a relay runs here, and is ready")]
    return [*findings, Finding("warning", "relay", problem, "start it with `image-relay serve`, if it should run here")]
