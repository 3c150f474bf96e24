"""The top of the command line: what it lists, what it imports, and how it fails."""

from __future__ import annotations

import re
from typing import Any

import click
import pytest
from click.testing import CliRunner
from support.commands import CONFIG, Relay

from service import __version__
from service.cli import COMMANDS, cli
from service.cli.group import RelayGroup
from service.domain.errors import CommandFailed, ConfigInvalid, Problem, StoreUnavailable

CONTRACT = [
    *(
        "serve",
        "demo",
        "init",
        "check",
        "schema",
        "explain",
        "send",
        "url",
        "providers",
        "tokens",
        "receipts",
        "purges",
    ),
    *("assets", "hold", "resume", "ping", "doctor", "fake-vercel", "db"),
]
GROUPS = {
    "tokens": ["set", "list", "check", "remove", "rotate-keys"],
    "receipts": ["list", "show", "replay"],
    "purges": ["list", "show", "retry", "drop"],
    "assets": ["import", "show"],
    "db": ["copy", "upgrade"],
}


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_every_command_of_the_contract(bare: Relay, option: str) -> None:
    done = bare.run(option)
    assert done.code == 0
    assert re.findall(r"(?m)^  ([a-z-]+)  +[A-Z]", done.out.partition("Commands:")[2]) == CONTRACT


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_list_is_the_first_of_the_commands_own_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.get_short_help_str(limit=200) == COMMANDS[name][1]


@pytest.mark.parametrize(("group", "commands"), GROUPS.items())
def test_groups_have_the_commands_of_the_contract(group: str, commands: list[str]) -> None:
    command = cli.get_command(click.Context(cli), group)
    assert isinstance(command, click.Group)
    assert sorted(command.commands) == sorted(commands)


def every_command() -> list[tuple[str, ...]]:
    return [
        *((name,) for name in COMMANDS if name not in GROUPS),
        *((group, name) for group, names in GROUPS.items() for name in names),
    ]


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_and_every_option_has_help(bare: Relay, words: tuple[str, ...]) -> None:
    assert bare.run(*words, "-h").code == 0
    command: Any = cli
    for word in words:
        command = command.get_command(click.Context(command), word)
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


def test_version(bare: Relay) -> None:
    done = bare.run("--version")
    assert done.code == 0
    assert re.fullmatch(rf"image-relay {re.escape(__version__)}( \([0-9a-f]{{12}}\))?\n", done.out)


def test_without_a_command_it_shows_its_help_and_fails(bare: Relay) -> None:
    done = bare.run()
    assert (done.code, done.out) == (2, "")
    assert "Commands:" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sned"], "there is no command 'sned', did you mean 'send'? (see `image-relay --help`)"),
        (["xyzzy"], "there is no command 'xyzzy' (see `image-relay --help`)"),
        (["--nope"], "No such option '--nope' (see `image-relay --help`)"),
        (["check", "--nope"], "No such option '--nope' (see `image-relay check --help`)"),
        (["explain"], "Missing argument 'PAYLOAD' (see `image-relay explain --help`)"),
        (["receipts", "list", "--limit", "0"], "0 is not in the range 1<=x<=1000"),
    ],
)
def test_wrong_usage_is_one_line(bare: Relay, arguments: list[str], message: str) -> None:
    assert message in bare.fails(*arguments, code=2)


def test_config_before_the_command_and_after_it(bare: Relay) -> None:
    good, bad = bare.folder / "good.yaml", bare.folder / "bad.yaml"
    good.write_text(CONFIG)
    bad.write_text("oops: 1\n")
    assert bare.run("--config", good, "check").code == 0
    assert bare.run("check", "--config", good).code == 0
    assert bare.run("--config", bad, "check", "--config", good).code == 0
    assert bare.run("--config", good, "check", "--config", bad).code == 1
    assert bare.run("check", environ={"RELAY_CONFIG": str(good)}).code == 0


class Failing(RelayGroup):
    """A command line whose only command raises."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("relay", lazy={"fail": ("nowhere:command", "Fail.")})
        self._error = error

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        def fail() -> None:
            raise self._error

        return click.Command(cmd_name, callback=fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CommandFailed("it cannot\nbe done"), 1, "Error: it cannot be done\n"),
        (StoreUnavailable("the disk is full"), 1, "Error: the disk is full\n"),
        (click.ClickException("no"), 1, "Error: no\n"),
        (KeyboardInterrupt(), 130, "\nError: interrupted\n"),
        (click.Abort(), 130, "Error: interrupted\n"),
        (
            ConfigInvalid([Problem("a.b", "is wrong", 3), Problem("c", "too", 4)], "relay.yaml"),
            1,
            "relay.yaml:3: a.b: is wrong\nrelay.yaml:4: c: too\n",
        ),
        (click.exceptions.Exit(7), 7, ""),
    ],
)
def test_every_failure_is_told_on_stderr_without_a_traceback(error: BaseException, code: int, said: str) -> None:
    result = CliRunner().invoke(Failing(error), ["fail"])
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", said)


def test_a_bug_is_not_hidden() -> None:
    result = CliRunner().invoke(Failing(RuntimeError("a bug")), ["fail"])
    assert isinstance(result.exception, RuntimeError)


def test_a_shell_can_complete_commands(bare: Relay) -> None:
    done = bare.run(
        environ={"_IMAGE_RELAY_COMPLETE": "bash_complete", "COMP_WORDS": "image-relay re", "COMP_CWORD": "1"}
    )
    assert done.out.split() == ["plain,receipts", "plain,resume"]
    assert cli.get_command(click.Context(cli), "nope") is None
