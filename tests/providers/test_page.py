"""The page of providers is what the code says now."""

from __future__ import annotations

from pathlib import Path

from service.providers.page import page
from service.providers.registry import PROVIDERS

PAGE = Path(__file__).parents[2] / "service" / "providers" / "README.md"


def test_it_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_it_has_every_provider_once() -> None:
    headings = [line.removeprefix("## ") for line in page().splitlines() if line.startswith("## ")]
    assert headings == sorted(PROVIDERS)
