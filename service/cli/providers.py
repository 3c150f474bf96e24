"""`image-relay providers`: who may send."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import click

from service.cli.output import json_option, plain, print_json, print_table
from service.domain.clock import system_clock
from service.domain.errors import CommandFailed
from service.providers.base import Info, Provider
from service.providers.page import parts
from service.providers.registry import PROVIDERS, provider_class
from service.settings.wording import did_you_mean

_WIDTH = 100
"""Characters of a line of a description."""


@click.command()
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the senders that are known, or describe one.

    NAME is a provider's name as relay.yaml has it.
    """
    if name is not None:
        _describe(name, as_json)
        return
    infos = [provider_class(known).info for known in sorted(PROVIDERS)]
    if as_json:
        print_json([_document(info) for info in infos])
        return
    print_table(
        ("name", "title", "signs", "auth"),
        [(info.name, info.title, info.signs, ", ".join(info.auth)) for info in infos],
        nothing="no providers",
    )


def _describe(name: str, as_json: bool) -> None:
    if name not in PROVIDERS:
        hint = did_you_mean(name, PROVIDERS) or f" (known: {', '.join(sorted(PROVIDERS))})"
        raise CommandFailed(f"there is no provider {name!r}{hint}")
    provider = provider_class(name)
    if as_json:
        print_json(_description(provider))
        return
    info = provider.info
    click.echo(f"{plain(info.title)}: {plain(info.signs)}\n{info.doc_url}\n")
    for number, step in enumerate(info.guide.setup, 1):
        click.echo(_wrapped(f"{number}. ", step))
    for part, text in parts(provider):
        click.echo(f"\n{part}")
        click.echo(_wrapped("  ", text))


def _wrapped(lead: str, text: str) -> str:
    """`lead` and the text, in lines that begin below the text; code stays as it is."""
    hanging, code, shown = " " * len(lead), False, list[str]()
    for line in map(plain, text.split("\n")):
        first = hanging if shown else lead
        code ^= line.startswith("```")
        shown.append((first + line).rstrip() if code else _filled(line, first, hanging))
    return "\n".join(shown)


def _filled(line: str, first: str, hanging: str) -> str:
    return fill(
        line,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _description(provider: type[Provider]) -> dict[str, Any]:
    info = provider.info
    return {
        **_document(info),
        "guide": {
            "setup": list(info.guide.setup),
            "events": info.guide.events,
            "covered": info.guide.covered,
            "retries": info.guide.retries,
            "urls": info.guide.urls,
        },
        "variants": {name: variant.title for name, variant in provider.variants.items()},
        "samples": list(provider.samples(system_clock())),
    }


def _document(info: Info) -> dict[str, Any]:
    return {
        "name": info.name,
        "title": info.title,
        "doc_url": info.doc_url,
        "signs": info.signs,
        "tolerance_seconds": info.tolerance,
        "needs_secret": info.needs_secret,
        "auth": list(info.auth),
        "options": list(info.options),
        "stored_headers": sorted(info.stored_headers),
        "success_status": info.success_status,
        "unreadable_status": info.unreadable_status,
        "handshake_methods": list(info.handshake_methods),
    }
