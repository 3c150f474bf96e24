"""What holds for every page: links lead somewhere, commands and their options exist, blocks are run or checked."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest
from docs.pages import ROOT, anchors, blocks, name_of, pages, prose

from service.cli import cli

PAGES = pages()
TESTED_HERE = [
    page
    for page in PAGES
    if name_of(page) == "README.md"
    or name_of(page).startswith("service/providers/starts/")
    or page.name in {"COOKBOOK.md", "OPERATING.md", "MIGRATING.md", "FAQ.md"}
]
LINK = re.compile(r"\]\((?P<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)")
COMMAND = re.compile(r"(?:^|[|(&;!]\s*|\bexec relay )image-relay(?= |$)(?P<rest>[^|;&\n)`]*)", re.MULTILINE)
INLINE = re.compile(r"`image-relay (?P<rest>[^`]*)`")


def test_there_are_pages() -> None:
    names = {name_of(page) for page in PAGES}
    assert {"README.md", "service/providers/README.md", "deploy/SECURITY.md", "deploy/OPERATING.md"} <= names
    assert len(TESTED_HERE) == 12


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in (found["target"] for found in LINK.finditer(prose(page.read_text()))):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", target
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), target
            continue
        place = page.parent / parts.path if parts.path else page
        assert place.exists(), target
        if parts.fragment:
            assert parts.fragment in anchors(place.read_text()), target


def commands(text: str) -> Iterator[str]:
    for block in blocks(text):
        if block.language == "sh":
            yield from (found["rest"] for found in COMMAND.finditer(block.text.replace("\\\n", " ")))
    yield from (found["rest"] for found in INLINE.finditer(prose(text).replace("\n", " ")))


def problem(rest: str) -> str | None:
    """What is wrong with the words after `image-relay`: a command or an option that there is not."""
    command: click.Command = cli
    context = click.Context(cli)
    known = {"-h", "--help", "--version", "--config"}
    for word in shlex.split(rest.replace("…", "")):
        if word.startswith("-") and word != "-":
            if word.partition("=")[0] not in known:
                return f"no option {word}"
        elif isinstance(command, click.Group):
            found = None
            if word in command.list_commands(context):
                found = command.get_command(context, word)
            elif word.isupper() or "|" in word:
                return None  # a placeholder
            elif command is not cli or not rest.strip().startswith("--config"):
                return f"no command {word}"
            if found is not None:
                command = found
                known |= {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_ours(page: Path) -> None:
    assert [(rest, wrong) for rest in commands(page.read_text()) if (wrong := problem(rest))] == []


def test_what_is_not_there_is_noticed() -> None:
    assert problem("purges list --state done") is None
    assert problem("--config try.yaml serve") is None
    assert problem("purges lst") == "no command lst"
    assert problem("purges list --staet done") == "no option --staet"
    assert problem("frobnicate") == "no command frobnicate"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_s_targets_are_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?m)(?:`|^)make ([a-z][a-z-]+)", page.read_text())):
        assert re.search(rf"(?m)^{target}:", makefile), target


@pytest.mark.parametrize("page", TESTED_HERE, ids=name_of)
def test_every_block_is_run_or_checked(page: Path) -> None:
    """Its label says by which test; `shown` are other people's commands, and what the test of commands reads."""
    tests = "".join(one.read_text() for one in (ROOT / "tests/docs").glob("*.py"))
    tests += (ROOT / "tests/acceptance/test_docs.py").read_text()
    for block in blocks(page.read_text()):
        if block.language not in ("sh", "yaml", "js", "csv"):
            continue
        kind, _, name = block.label.partition(": ")
        assert kind in ("tested", "file", "recipe", "shown"), f"no label:\n{block.text}"
        if kind == "tested":
            assert re.search(rf'["\[ ]{re.escape(name)}["\]]', tests), f"no test of {name}"


@pytest.mark.parametrize("page", TESTED_HERE, ids=name_of)
def test_variables_are_read_somewhere(page: Path) -> None:
    sources = "".join(one.read_text() for one in (ROOT / "service").rglob("*.py"))
    sources += (ROOT / "service/settings/relay.example.yaml").read_text()
    for name in set(re.findall(r"\bRELAY_[A-Z_]+\b", page.read_text())):
        assert name in sources, name


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_picture_of_the_flow_can_be_read(mode: str) -> None:
    drawn = ET.parse(ROOT / "deploy/flow.svg").getroot()  # noqa: S314 - our own
    space = "{http://www.w3.org/2000/svg}"
    style = drawn.findtext(f"{space}style") or ""
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")
    fills = dict(re.findall(r"([.\w]+) \{ fill: (#[0-9a-f]{6})", light if mode == "light" else dark))
    page = {"light": "#ffffff", "dark": "#0d1117"}[mode]  # of GitHub
    for ground in (page, fills[".box"], fills[".disk"], fills[".relay"]):
        assert contrast(fills["text"], ground) >= 7, ground
        assert contrast(fills[".small"], ground) >= 4.5, ground
    used = {name for one in drawn.iter() for name in one.get("class", "").split()}
    assert {f".{name}" for name in used - {"name", "line", "back"}} <= set(fills)
    # Text stays within the picture, at a generous 0.62 em a character.
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    for text in drawn.iter(f"{space}text"):
        half = 13 * 0.62 * len(text.text or "") / (2 if text.get("text-anchor") else 1)
        assert float(text.attrib["x"]) + half <= width, text.text
        assert float(text.attrib["y"]) < height
