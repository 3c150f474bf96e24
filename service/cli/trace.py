"""An event and what each rule made of it, for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from service.cli.output import plain

_IN_HEADING = ("kind", "id")


def print_event(number: int, event: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> None:
    """`event 1: replaced ID`, its particulars, and every rule with its reason and images."""
    click.echo(f"\nevent {number}: {event['kind']} {plain(event['id'])}")
    for name, value in event.items():
        if value and name not in _IN_HEADING:
            for one in value if isinstance(value, list) else [value]:
                click.echo(f"  {name:<12} {plain(one)}")
    for rule in rules:
        _print_rule(rule)


def _print_rule(rule: Mapping[str, Any]) -> None:
    # A rule that failed gave nothing, even where its condition holds.
    mark = "✓" if rule["matched"] and rule["error"] is None else "✗"
    click.echo(f"  {mark} {plain(rule['rule'])}: {plain(rule['error'] or rule['why'])}")
    for image in rule["images"]:
        source = image["template"] if image["url"] is None else f"{image['template']}, url = {image['url']}"
        click.echo(f"      {plain(image['src_image'])}  → {plain(image['project'])}")
        click.echo(f"        from {plain(source)}")
        if image["refusal"] is not None:
            click.echo(f"        never sent: {plain(image['refusal'])}")
