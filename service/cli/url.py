"""`image-relay url`: what to enter at the sender."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from service.cli.address import hook_path
from service.cli.configuration import config_option, load_basics, source_named
from service.domain.errors import CommandFailed
from service.providers.base import SourceProblem
from service.providers.credentials import StaticCredential
from service.providers.registry import provider_class
from service.settings.model import Source


@click.command()
@click.argument("source", required=False)
@config_option
def command(source: str | None, config: Path | None) -> None:
    """Print the URL to enter at a source's sender.

    SOURCE may be left out while there is one. With `auth: {capability: true}` the URL ends in a secret key, which is
    void once the source's secret is replaced.
    """
    settings = load_basics(config).settings
    name = source_named(settings, source)
    path = _path(name, hook_path(settings, name), _credential(name, settings.sources[name]))
    if settings.public_url is None:
        click.echo(path)
        click.echo("Only the path: set public_url in relay.yaml to the address senders see.", err=True)
        return
    parts = urlsplit(settings.public_url)
    click.echo(f"{parts.scheme}://{parts.netloc}{path}")


def _credential(name: str, source: Source) -> StaticCredential | None:
    try:
        return StaticCredential.of(name, provider_class(source.provider).completed(source))
    except SourceProblem as error:
        raise CommandFailed(f"sources.{name}.{error.key} {error}") from None


def _path(name: str, path: str, credential: StaticCredential | None) -> str:
    if credential is None:
        return path
    if not credential.secrets or not credential.secrets[0]:
        raise CommandFailed(f"sources.{name} has `auth:` and no secrets: `image-relay check` says what is missing")
    carried, _ = credential.applied(path)
    if credential.kind != "query":
        return carried  # a capability is made to be handed out; the other kinds leave the path alone
    click.echo("In place of *** put one of the source's secrets.", err=True)
    return credential.without_secret(carried)
