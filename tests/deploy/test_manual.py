"""The man page and the completions: of every command there is, and taken by the programs that read them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import click
import pytest

from service.cli import cli, manual

ROOT = Path(__file__).parents[2]
PAGE = manual.man_page()
COMMANDS = [
    (within.command_path, command)
    for command, within in manual.commands(cli, click.Context(cli, info_name="image-relay"))
]
groff = pytest.mark.skipif(shutil.which("groff") is None, reason="Debian's package groff-base or groff is not there")


def sections() -> dict[str, str]:
    """Each command's own part, as it reads."""
    found = re.split(r"(?m)^\.S[SH] (.*)\n", PAGE)[1:]
    return {plain(title): plain(text) for title, text in zip(found[::2], found[1::2], strict=True)}


def plain(text: str) -> str:
    return text.replace(r"\-", "-").replace(r"\fB", "").replace(r"\fI", "").replace(r"\fR", "")


def test_all_that_help_lists_is_there() -> None:
    found = [path for path, _ in COMMANDS]
    assert {path.split()[1] for path in found} == set(cli.list_commands(click.Context(cli)))
    assert {"image-relay serve", "image-relay tokens set", "image-relay db upgrade"} <= set(found)
    assert [title for title in sections() if title.startswith("image-relay ")] == found


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_each_option_is_told(path: str, command: click.Command) -> None:
    lines = sections()[path].splitlines()
    told = [line for before, line in pairwise(lines) if before == ".TP"]
    for option in [one for one in command.params if isinstance(one, click.Option) and not one.hidden]:
        for name in (*option.opts, *option.secondary_opts):
            assert any(re.search(rf"(^|[ ,/]){re.escape(name)}($|[ ,])", line) for line in told), name


def test_no_text_of_ours_is_a_request() -> None:
    assert PAGE.isascii()
    requests = {line.split()[0] for line in PAGE.splitlines() if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".SS", ".PP", ".TP", ".B"}


@groff
def test_groff_has_nothing_to_say_against_it(tmp_path: Path) -> None:
    manual.write(tmp_path)
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", tmp_path / "image-relay.1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    assert "image-relay tokens rotate-keys" in shown
    assert "postgresql://…." in shown


@pytest.mark.parametrize("shell", manual.SHELLS)
def test_each_shell_asks_the_program(shell: str) -> None:
    assert f"_IMAGE_RELAY_COMPLETE={shell}_complete" in manual.completion(shell)


def test_it_is_what_the_program_itself_prints() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service"],
        env=os.environ | {"_IMAGE_RELAY_COMPLETE": "zsh_source", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == manual.completion("zsh").strip()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not there")
def test_bash_completes_with_it(tmp_path: Path) -> None:
    manual.write(tmp_path)
    program = tmp_path / "image-relay"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m service "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        [
            "bash",
            "-c",
            ". completions/bash; COMP_WORDS=(image-relay tokens r) COMP_CWORD=2; "
            '_image_relay_completion ./image-relay; echo "${COMPREPLY[@]}"',
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.split()) == ["remove", "rotate-keys"]
