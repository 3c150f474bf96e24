"""Tables for a terminal and for a pipe, and nothing in them that a terminal would obey."""

from __future__ import annotations

import io
import sys

import pytest

from service.cli.output import counted, plain, print_fields, print_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ROWS = [("one", None, "[bold]x[/bold]"), ("two", 2, "\x1b[31mred\x07")]


def test_a_table_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "count", "text"), ROWS, nothing="none")
    assert capsys.readouterr().out.splitlines() == [
        "NAME  COUNT  TEXT",
        "one          [bold]x[/bold]",
        "two   2      \\x1b[31mred\\x07",
    ]


def test_one_long_cell_in_a_pipe_is_whole_and_does_not_widen_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    long = "/" + "a" * 999
    print_table(("image", "count"), [(long, 1), ("/b", 2)], nothing="none")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{long}  1"
    assert len(lines[0]) == len(lines[2]) + len("COUNT") - 1 < 150


def test_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(("name", "count", "text"), ROWS, nothing="none")
    shown = terminal.getvalue()
    assert "name" in shown
    assert "[bold]x[/bold]" in shown
    assert "\\x1b[31mred\\x07" in shown
    assert "\x07" not in shown


def test_no_rows_are_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [], nothing="There is none.")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "There is none.\n")


def test_fields(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("id", "x"), ("left out", None), ("image", "a\nb"), ("empty", "")])
    assert capsys.readouterr().out.splitlines() == ["id     x", "image  a\\nb", "empty"]
    print_fields([])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Käse 🧀", "Käse 🧀"), ("a\x00b", "a\\x00b"), ("\u202egpj", "\\u202egpj"), ("\ud800", "\\ud800"), (7, "7")],
)
def test_plain(text: object, shown: str) -> None:
    assert plain(text) == shown


def test_counted() -> None:
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
