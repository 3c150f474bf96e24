"""The documentation's pages, and the blocks in them that are run or checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SKIPPED = {".venv", "node_modules", ".git", "dist"}
_BLOCK = re.compile(r"(?m)^(?:<!-- (?P<label>[^>\n]+) -->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: `label` is the comment right before it, such as `tested: walk`."""

    label: str
    language: str
    text: str


def pages() -> list[Path]:
    """Every page of the repository, wherever it is."""
    folders = [ROOT, *(folder for name in ("service", "deploy", "tests") for folder in (ROOT / name).rglob("*/"))]
    found = {page for folder in folders if not _SKIPPED & set(folder.parts) for page in folder.glob("*.md")}
    return sorted(found | set((ROOT / "deploy").glob("*.md")))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        yield Block(found["label"] or "", found["language"], found["text"])


def joined(page: Path, label: str) -> str:
    """The blocks of one label, one after the other."""
    found = [block.text for block in blocks(page.read_text()) if block.label == label]
    assert found, f"{name_of(page)} has no block for {label}"
    return "".join(found)


def files(page: Path) -> dict[str, str]:
    """What the page says to write: `<!-- file: NAME -->`."""
    return {
        block.label.removeprefix("file: "): block.text
        for block in blocks(page.read_text())
        if block.label.startswith("file: ")
    }


def prose(text: str) -> str:
    """The page without its blocks."""
    return _BLOCK.sub("", text)


def anchors(text: str) -> set[str]:
    """What a link may name after `#`, as GitHub makes it of headings."""
    titles = re.findall(r"(?m)^#+ (.*)$", prose(text))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
