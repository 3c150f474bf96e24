"""`image-relay providers`: who may send."""

from __future__ import annotations

from typing import Any

import click

from service.cli.output import json_option, print_fields, print_json, print_table
from service.domain.clock import system_clock
from service.domain.errors import CommandFailed
from service.providers.base import Info
from service.providers.registry import PROVIDERS, provider_class
from service.settings.wording import did_you_mean


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
    samples = list(provider.samples(system_clock()))
    document = {**_document(provider.info), "samples": samples}
    if as_json:
        print_json(document)
        return
    tolerance = provider.info.tolerance
    print_fields(
        [
            ("name", provider.info.name),
            ("title", provider.info.title),
            ("documentation", provider.info.doc_url),
            ("signs", provider.info.signs),
            ("time", "not signed" if tolerance is None else f"{tolerance:g} s off at most (`tolerance`)"),
            ("secrets", "needed" if provider.info.needs_secret else "not needed"),
            ("auth", ", ".join(provider.info.auth) or "its own signature alone"),
            ("options", ", ".join(provider.info.options) or "none of its own"),
            ("headers kept", ", ".join(sorted(provider.info.stored_headers))),
            ("answer", f"{provider.info.success_status} once stored"),
            ("samples", f"{', '.join(samples)} (`image-relay send --event`)"),
        ]
    )


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
    }
