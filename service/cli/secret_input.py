"""A secret from a hidden prompt, standard input or a file; never from an argument, which others on the machine see."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from service.domain.errors import CommandFailed
from service.domain.secret import Secret
from service.settings.secret_files import MAX_BYTES, read_secret_file


def read_secret(what: str, file: Path | None, *, stdin: bool) -> Secret:
    """From `file`, from standard input where that is asked for or is no terminal, else from a prompt."""
    if file is not None and str(file) != "-":
        try:
            return Secret(read_secret_file(file))
        except ValueError as error:
            raise CommandFailed(str(error)) from None
    if file is None and not stdin and sys.stdin.isatty():
        return Secret(click.prompt(what, hide_input=True))
    return Secret(_standard_input(what))


def _standard_input(what: str) -> str:
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise CommandFailed(f"standard input is larger than 64 KiB: that is no {what}")
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CommandFailed("standard input is not UTF-8 text") from None
    if not text:
        raise CommandFailed(f"there is no {what} on standard input")
    return text
