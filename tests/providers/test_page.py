"""The page of providers is what the code says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.providers.base import Provider
from service.providers.page import page, parts
from service.providers.registry import PROVIDERS, provider_class

PAGE = Path(__file__).parents[2] / "service" / "providers" / "README.md"


def test_it_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_it_has_every_provider_once() -> None:
    headings = [line.removeprefix("## ") for line in page().splitlines() if line.startswith("## ")]
    assert headings == sorted(PROVIDERS)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_provider_says_all_there_is_to_know(name: str) -> None:
    one = provider_class(name)
    guide = one.info.guide
    assert len(guide.setup) >= 2
    assert any("relay.example.com/hooks/NAME" in step for step in guide.setup), "where does it send to?"
    assert all(step.strip() for step in guide.setup)
    found = dict(parts(one))
    assert all(text.strip() for text in found.values())
    assert [found[part] for part in ("events", "covered", "delivery", "image URLs")] == [
        guide.events,
        guide.covered,
        guide.retries,
        guide.urls,
    ]
    assert ("variants" in found) == bool(one.variants)
    assert ("handshakes" in found) == (one.greeting is not Provider.greeting)
    assert all(f"`{method}`" in found["handshakes"] for method in one.info.handshake_methods)
    assert ("settings of its own" in found) == bool(one.info.options)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_guide_speaks_of_variants_that_exist(name: str) -> None:
    one = provider_class(name)
    assert all(f"`{variant}`" in one.info.guide.urls for variant in one.variants)


def test_the_page_has_every_part() -> None:
    words = " ".join(page().split())
    for name in PROVIDERS:
        one = provider_class(name)
        for text in (*one.info.guide.setup, *dict(parts(one)).values()):
            assert " ".join(text.split()) in words
