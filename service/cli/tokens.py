"""`image-relay tokens`: Vercel tokens in the store, encrypted. Nothing here ever shows one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from service.cli.configuration import config_option, load_basics, project_named
from service.cli.output import counted, json_option, moment, plain, print_json, print_table
from service.cli.secret_input import read_secret
from service.cli.store import in_store, opened
from service.cli.token_check import Verdict, check_projects
from service.domain.clock import system_clock
from service.domain.errors import CommandFailed
from service.domain.secret import Secret
from service.domain.tokens import StoredToken, TokenScope
from service.settings.model import Settings
from service.settings.wording import did_you_mean
from service.store.engine import Engine
from service.store.tokens import Tokens
from service.vault import Vault
from service.vercel.wire import token_problem

_PROMPT = "Vercel token"


@click.group()
def command() -> None:
    """Vercel tokens in the store, encrypted."""


def _owner(settings: Settings, names: Sequence[str], team: str | None) -> tuple[TokenScope, str]:
    """Whose token is meant; raises CommandFailed for whom the configuration does not have."""
    if len(names) > 1 or (not names) == (team is None):
        # What was given is not repeated: it may well be a token.
        raise click.UsageError(
            "give a project's name, or --team; the token itself comes from a prompt, stdin or --file"
        )
    if team is None:
        project_named(settings, names[0])
        return TokenScope.PROJECT, names[0]
    teams = [project.team for project in settings.projects.values() if project.team is not None]
    if team not in teams:
        hint = did_you_mean(team, teams) or f" (there is: {', '.join(dict.fromkeys(teams)) or 'none'})"
        raise CommandFailed(f"no project is of the team {team!r}{hint}")
    return TokenScope.TEAM, team


@command.command("set")
@click.argument("names", metavar="[PROJECT] [-]", nargs=-1)
@click.option(
    "--team", help="A team's id or slug, as in relay.yaml: for all its projects without a token of their own."
)
@click.option("--file", type=click.Path(path_type=Path), help="Read the token from this file.")
@config_option
def set_token(*, names: Sequence[str], team: str | None, file: Path | None, config: Path | None) -> None:
    """Store a token in place of the one before.

    It is asked for without being shown; - or a pipe reads it from standard input.
    """
    settings = load_basics(config).settings
    scope, name = _owner(settings, [one for one in names if one != "-"], team)
    vault = Vault(settings.vault.keys)
    vault.encrypt(Secret("a trial"))  # without a key that works there is no use in asking
    token = read_secret(_PROMPT, file, stdin="-" in names)
    if problem := token_problem(token.reveal()):
        raise CommandFailed(problem)
    stored = StoredToken(
        scope=scope,
        name=name,
        ciphertext=vault.encrypt(token),
        fingerprint=token.fingerprint(),
        updated_at=system_clock(),
    )

    async def put() -> None:
        async with opened(settings, create=True) as engine:
            await Tokens(engine).put(stored)

    asyncio.run(put())
    click.echo(f"stored the token of {scope} {name}, fingerprint {stored.fingerprint}")
    if scope is TokenScope.PROJECT and settings.projects[name].token is not None:
        click.echo(f"projects.{name}.token in the configuration still goes first: remove it there", err=True)


@command.command("list")
@config_option
@json_option
def list_tokens(*, config: Path | None, as_json: bool) -> None:
    """List the stored tokens: whose, since when, and which projects use them."""

    async def work(settings: Settings, engine: Engine) -> list[tuple[StoredToken, list[str]]]:
        stored = await Tokens(engine).list()
        return [(token, _users(settings, stored, token)) for token in stored]

    rows = in_store(config, work)
    if as_json:
        print_json([_document(token, users) for token, users in rows])
        return
    print_table(
        ("scope", "name", "fingerprint", "updated", "used by"),
        [
            (token.scope, token.name, token.fingerprint, moment(token.updated_at), ", ".join(users) or "no project")
            for token, users in rows
        ],
        nothing="No token is stored.",
    )


def _users(settings: Settings, stored: Sequence[StoredToken], token: StoredToken) -> list[str]:
    """The projects whose purges go out with this token: a token in the file goes first, then a project's own."""
    if token.scope is TokenScope.PROJECT:
        project = settings.projects.get(token.name)
        return [token.name] if project is not None and project.token is None else []
    own = {other.name for other in stored if other.scope is TokenScope.PROJECT}
    return [
        name
        for name, project in settings.projects.items()
        if project.team == token.name and project.token is None and name not in own
    ]


def _document(token: StoredToken, users: Sequence[str]) -> Mapping[str, object]:
    return {
        "scope": token.scope.value,
        "name": token.name,
        "fingerprint": token.fingerprint,
        "updated_at": moment(token.updated_at),
        "used_by": list(users),
    }


@command.command()
@click.argument("project", required=False)
@config_option
@json_option
def check(*, project: str | None, config: Path | None, as_json: bool) -> None:
    """Ask Vercel whether a project's token sees it; nothing is changed there.

    Without PROJECT: every project. Exit 1 when one of them has trouble.
    """
    settings = load_basics(config).settings
    if project is not None:
        project_named(settings, project)
    verdicts = asyncio.run(check_projects(settings, list(settings.projects) if project is None else [project]))
    if as_json:
        print_json([_verdict_document(verdict) for verdict in verdicts])
    else:
        click.echo("".join(f"{line}\n" for line in _lines(verdicts, fine=True)), nl=False)
    if troubled := _lines(verdicts, fine=False):
        raise CommandFailed("; ".join(troubled))


def _lines(verdicts: Sequence[Verdict], *, fine: bool) -> list[str]:
    return [f"{verdict.project}: {plain(verdict.message)}" for verdict in verdicts if verdict.fine is fine]


def _verdict_document(verdict: Verdict) -> Mapping[str, object]:
    return {
        "project": verdict.project,
        "fine": verdict.fine,
        "status": verdict.status,
        "fingerprint": verdict.fingerprint,
        "message": verdict.message,
    }


@command.command()
@click.argument("names", metavar="[PROJECT]", nargs=-1)
@click.option("--team", help="A team's id or slug.")
@config_option
def remove(*, names: Sequence[str], team: str | None, config: Path | None) -> None:
    """Forget a stored token."""
    if len(names) > 1 or (not names) == (team is None):
        raise click.UsageError("give a project's name, or --team")
    scope, name = (TokenScope.PROJECT, names[0]) if team is None else (TokenScope.TEAM, team)

    async def work(_: Settings, engine: Engine) -> None:
        tokens = Tokens(engine)
        if not await tokens.remove(scope, name):
            known = [token.name for token in await tokens.list() if token.scope is scope]
            raise CommandFailed(f"no token is stored for {scope} {name!r}{did_you_mean(name, known)}")

    in_store(config, work)
    click.echo(f"removed the token of {scope} {plain(name)}: revoke it at Vercel too if it is not used elsewhere")


@command.command("rotate-keys")
@config_option
def rotate_keys(*, config: Path | None) -> None:
    """Encrypt every stored token anew, with the first key of vault.keys."""

    async def work(settings: Settings, engine: Engine) -> int:
        vault = Vault(settings.vault.keys)
        vault.encrypt(Secret("a trial"))  # also where nothing is stored, a missing key is said
        return await Tokens(engine).rewrite(vault.rotate)

    count = in_store(config, work)
    click.echo(f"{counted(count, 'token')} encrypted with the first key: the others may be removed")
