"""Images in documents of any shape."""

from __future__ import annotations

from typing import Any

import pytest

from service.providers.image_links import MAX_IMAGES, image_urls

A, B = "https://x.example/a.jpg", "http://x.example/b.PNG?w=1&h=2#top"


@pytest.mark.parametrize(
    ("document", "urls"),
    [
        (A, (A,)),
        ([A, {"deep": [B, A]}], (A, B)),
        ("//x.example/a.jpg", (A,)),
        ("/a.jpg", ()),
        ("a.jpg", ()),
        ("https://x.example/page", ()),
        ("https://x.example/page?image=a.jpg", ()),
        ("https://cdn.example/v1/anything", ("https://cdn.example/v1/anything",)),
        (
            f'<p><img alt="" src="{A}"><img SRC=\'//x.example/b.png?w=1&amp;h=2\'></p>',
            (A, "https://x.example/b.png?w=1&h=2"),
        ),
        (f'<a href="{A}">', ()),
        ('<img src="/a.jpg">', ()),
        ('<script src="https://x.example/a.js">', ()),
        (f"see {A}", ()),
        ([1, None, True, 1.5, {}, []], ()),
    ],
)
def test_images(document: Any, urls: tuple[str, ...]) -> None:
    assert image_urls(document, ("https://cdn.example/v1/",)) == urls


def test_a_document_without_end() -> None:
    assert len(image_urls([f"https://x.example/{number}.jpg" for number in range(MAX_IMAGES + 1)])) == MAX_IMAGES
