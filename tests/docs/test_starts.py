"""The five-minute starts: each page's own commands, one after the other, and what Vercel was told at the end."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docs.pages import ROOT, blocks, files, joined, prose
from docs.prepared import Shell
from support.buckets import free_port
from support.loopback import serve
from support.process import eventually

from service.providers.page import parts
from service.providers.registry import provider_class
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

STARTS = sorted((ROOT / "service/providers/starts").glob("*.md"))
TOKENS = {"VERCEL_TOKEN": "vcp_fakefake0123456789fake", "CONTENTFUL_SECRET": "fake" * 16}

# After a page's last command: until Vercel was told.
UNTIL_TOLD = "until [ -e told ]; do sleep 0.1; done\n"


def told(fake: FakeVercel) -> list[str]:
    return sorted({image for call in fake.calls for image in (call["body"] or {}).get("srcImages", ())})


def timeless(images: Iterable[str]) -> list[str]:
    """Without what samples make of the time: Cloudinary's versions, digests in URLs of Contentful and Sanity."""
    return sorted(re.sub(r"/(v\d{10}/|[0-9a-f]{32}/|[0-9a-f]{40}-)", "/…", image) for image in images)


def walked(prepared: Shell, folder: Path, page: Path, label: str = "walk") -> list[str]:
    """The images that Vercel was told to drop when all that the page says was done."""
    folder.mkdir()
    for name, text in files(page).items():
        (folder / name).write_text(text)
    fake = FakeVercel()

    def watch() -> None:
        eventually(lambda: bool(told(fake)), 60, f"{page.name}: Vercel is told")
        (folder / "told").touch()

    with serve(create_fake_vercel(fake)) as url, ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watch)
        environ = {"RELAY_VERCEL_API": url, "RELAY_PORT": str(free_port())}
        more = {} if label == "walk" else TOKENS
        prepared.run(folder, joined(page, f"tested: {label}") + UNTIL_TOLD, environ | more)
        watching.result()
    return told(fake)


def test_all_of_them(prepared: Shell, tmp_path: Path) -> None:
    """At the same time, as most of it is waiting until a picture has settled."""
    with ThreadPoolExecutor(len(STARTS)) as pool:
        ended = list(pool.map(lambda page: walked(prepared, tmp_path / page.stem, page), STARTS))
    for page, images in zip(STARTS, ended, strict=True):
        assert timeless(images) == timeless(joined(page, "purged").split()), page.name


def test_sns_with_a_key_of_one_s_own(prepared: Shell, tmp_path: Path) -> None:
    page = ROOT / "service/providers/starts/s3.md"
    images = walked(prepared, tmp_path / "sns", page, "own-key")
    assert images == joined(page, "purged").split()


@pytest.mark.parametrize("page", STARTS, ids=lambda page: page.stem)
def test_it_agrees_with_the_page_of_providers(page: Path) -> None:
    """What it says to click is what the provider's guide says, and its settings are the provider's."""
    text = page.read_text()
    names = re.findall(r"(?m)^    provider: ([a-z-]+)$", text)
    guide = " ".join(" ".join(step for step in provider_class(name).info.guide.setup) for name in names)
    guide = " ".join(f"{guide} {' '.join(value for name in names for _, value in parts(provider_class(name)))}".split())
    clicked = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", prose(text))
    assert clicked or "gcloud" in text, page.name
    for path in clicked:
        assert path in guide, path
    for block in blocks(text):
        if block.label == "shown: gcloud":
            for option in re.findall(r"--[a-z-]+(?==)", block.text):
                assert option in guide, option
            for kind in re.findall(r"OBJECT_[A-Z]+", block.text):
                assert kind in guide, kind
