"""The command line: `image-relay`. A command's module is imported when the command is used, and not before."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click

from service.cli.first_process import heed_sigterm
from service.cli.group import RelayGroup
from service.cli.version import show

# Command → where it is and what `--help` says of it, in the order of a newcomer's day.
COMMANDS = {
    "serve": ("service.cli.serve:command", "Take in webhooks and purge."),
    "demo": ("service.cli.demo:command", "Show the whole job on this machine."),
    "init": ("service.cli.init:command", "Write a relay.yaml to start from."),
    "check": ("service.cli.check:command", "Say everything that is wrong with the configuration."),
    "schema": ("service.cli.schema:command", "Print the JSON Schema of relay.yaml."),
    "explain": ("service.cli.explain:command", "Show what a webhook would lead to, without network or store."),
    "send": ("service.cli.send:command", "Send a webhook, signed as its vendor signs."),
    "url": ("service.cli.url:command", "Print the URL to enter at a source's sender."),
    "providers": ("service.cli.providers:command", "List the senders that are known, or describe one."),
    "tokens": ("service.cli.tokens:command", "Vercel tokens in the store, encrypted."),
    "receipts": ("service.cli.receipts:command", "The webhooks that came in."),
    "purges": ("service.cli.purges:command", "The purges they led to."),
    "assets": ("service.cli.assets:command", "What is remembered of a sender's assets."),
    "hold": ("service.cli.hold:hold", "Let a project's purges wait."),
    "resume": ("service.cli.hold:resume", "Let a project's purges go on."),
    "ping": ("service.cli.ping:command", "Ask a running relay whether it is ready."),
    "doctor": ("service.cli.doctor:command", "Look for what is wrong, and say what to do."),
    "fake-vercel": ("service.cli.fake_vercel:command", "Run a fake Vercel to try against."),
    "db": ("service.cli.db:command", "The store's database."),
}


@click.group(
    cls=RelayGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--config", type=click.Path(path_type=Path), help="Else $RELAY_CONFIG, else ./relay.yaml.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show, help="Show the version and the commit."
)
def cli(config: Path | None) -> None:
    """Signed webhooks in, Vercel image cache purges out."""


def main() -> None:
    """The console command."""
    heed_sigterm()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a picture's name may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="image-relay")
