"""The images a document of any shape links to: for senders whose events are about content, not about files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import unescape
from itertools import islice
from typing import Any

from service.providers import json_body

MAX_IMAGES = 1000  # of one document; the rest of a document that links to more is left out

_EXTENSIONS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".ico", ".jfif", ".jpeg", ".jpg"),
    *(".png", ".svg", ".tif", ".tiff", ".webp"),
)
_HTML_SOURCE = re.compile(r"""\bsrc=["']([^"']+)["']""", re.IGNORECASE)


def image_urls(document: Any, prefixes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Every URL in the document, in order and once, that is an image by its extension or begins with a prefix of a
    host whose image URLs have none."""
    return images_among(json_body.strings(document), prefixes)


def images_among(texts: Iterable[str], prefixes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """As `image_urls`, of the strings of a document."""
    likely = (text for text in texts if "//" in text or "<" in text)
    found = dict.fromkeys(link for text in likely for link in _links(text) if _is_image(link, prefixes))
    return tuple(islice(found, MAX_IMAGES))


def product_images(product: Any) -> tuple[str, ...]:
    """The `src` of a shop's product: of its one `image`, then of all its `images`."""
    images = (json_body.dig(product, "image"), *json_body.array(product, "images"))
    given = (json_body.text(image, "src") for image in images)
    return tuple(dict.fromkeys(url for url in given if json_body.is_url(url) and url is not None))


def _links(text: str) -> Iterator[str]:
    """A string that is a URL as a whole, or every `src` of one that is HTML."""
    for one in map(unescape, _HTML_SOURCE.findall(text)) if "<" in text else [text]:
        link = f"https:{one}" if one.startswith("//") else one
        if json_body.is_url(link):
            yield link


def _is_image(link: str, prefixes: tuple[str, ...]) -> bool:
    return link.startswith(prefixes) or names_image(link.partition("#")[0].partition("?")[0])


def names_image(path: str) -> bool:
    """Whether a path is an image's by its extension."""
    return path.lower().endswith(_EXTENSIONS)
