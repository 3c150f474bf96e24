"""The man page and the completions of the shells, made from the commands themselves.

python -m service.cli.manual FOLDER writes image-relay.1 and completions/{bash,zsh,fish}.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from service import __version__
from service.cli import cli

NAME = "image-relay"
SHELLS = ("bash", "zsh", "fish")

_FILES = (
    ("relay.yaml", "The settings, where neither --config nor RELAY_CONFIG names another file."),
    ("/etc/image-relay/relay.yaml", "What Debian's package has the service read."),
    ("/etc/image-relay/environment", "The variables that file refers to, for the service; systemd reads them as root."),
    ("/var/lib/image-relay/relay.db", "The service's webhooks and purges, where the settings name no other store."),
)
_VARIABLES = (
    ("RELAY_CONFIG", "The file of settings."),
    ("RELAY_STORE", "sqlite:///PATH or postgresql://…."),
    ("RELAY_HOST, RELAY_PORT, RELAY_UDS", "Where to listen."),
    ("RELAY_LOG", "console or json."),
    ("RELAY_VERCEL_API", "In place of https://api.vercel.com."),
    ("RELAY_VAULT_KEYS", "Keys of the stored tokens, in place of the file's."),
    (
        "RELAY_PROVIDER, RELAY_SECRET, RELAY_VERCEL_PROJECT, RELAY_VERCEL_TEAM, RELAY_VERCEL_TOKEN",
        "One source and one project, without any file.",
    ),
)
_STATUS = (
    ("0", "It is done."),
    ("1", "It failed; one line on standard error says why, or one for each problem of the settings."),
    ("2", "There is no such command or option."),
    ("3", "explain: the webhook would be refused."),
    ("130", "It was interrupted."),
)


def man_page() -> str:
    """The whole page, in roff's man macros; the same text for the same release."""
    context = click.Context(cli, info_name=NAME, **cli.context_settings)
    lines = [
        f'.TH {NAME.upper()} 1 "" "{NAME} {__version__}" "User commands"',
        ".SH NAME",
        rf"{_text(NAME)} \- signed webhooks in, Vercel image cache purges out",
        ".SH SYNOPSIS",
        rf".B {_text(NAME)}",
        r"[\fB\-\-config\fR \fIPATH\fR] \fICOMMAND\fR [\fIOPTION\fR...]",
        ".SH DESCRIPTION",
        _line(cli.help or ""),
        ".SH OPTIONS",
        *_options(cli, context),
        ".SH COMMANDS",
    ]
    for command, within in commands(cli, context):
        lines += _command(command, within)
    lines += _list("EXIT STATUS", _STATUS) + _list("ENVIRONMENT", _VARIABLES) + _list("FILES", _FILES)
    return "\n".join(lines) + "\n"


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command that is no group, with the context that knows its path."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        within = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from commands(command, within)
        else:
            yield command, within


def completion(shell: str) -> str:
    """What the shell loads; it then asks the program."""
    kind = get_completion_class(shell)
    assert kind is not None, shell
    variable = f"_{NAME.upper().replace('-', '_')}_COMPLETE"
    made = kind(cli, {}, NAME, variable)
    # Not source(): bash's runs the bash of this machine to see whether it is new enough.
    return made.source_template % made.source_vars()


def write(folder: Path) -> None:
    (folder / "completions").mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.1").write_text(man_page(), "utf-8")
    for shell in SHELLS:
        (folder / "completions" / shell).write_text(completion(shell), "utf-8")


def _command(command: click.Command, context: click.Context) -> list[str]:
    words = [rf"\fB{_text(context.command_path)}\fR"]
    words += (rf"\fI{_text(word)}\fR" for word in command.collect_usage_pieces(context))
    # Before \f stands what click leaves unwrapped, after it what it leaves out.
    paragraphs = inspect.cleandoc(command.help or "").partition("\f")[0].replace("\b\n", "").split("\n\n")
    lines = [f".SS {_text(context.command_path)}", " ".join(words)]
    for paragraph in paragraphs:
        lines += [".PP", _line(paragraph)]
    return lines + _options(command, context)


def _options(command: click.Command, context: click.Context) -> list[str]:
    lines = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            lines += [".TP", rf"\fB{_text(record[0])}\fR", _line(record[1])]
    return lines


def _list(title: str, items: tuple[tuple[str, str], ...]) -> list[str]:
    lines = [f".SH {title}"]
    for name, text in items:
        lines += [".TP", rf"\fB{_text(name)}\fR", _line(text)]
    return lines


def _line(text: str) -> str:
    """A paragraph on one line, which no character of it makes a request of."""
    line = _text(re.sub(r"\s+", " ", text).strip())
    return rf"\&{line}" if line.startswith((".", "'")) else line


def _text(text: str) -> str:
    """Typed as it stands: a hyphen is copied from the page as the hyphen that it is, and the page is ASCII."""
    plain = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    return "".join(one if one.isascii() else rf"\[u{ord(one):04X}]" for one in plain)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
