"""The files WordPress makes of one uploaded image, all of them beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from service.domain.variants import Variant

# `hero-300x200.jpg`, and `hero-scaled.jpg` for uploads of more than 2560 pixels:
# https://make.wordpress.org/core/2019/10/09/introducing-handling-of-big-images-in-wordpress-5-3/
_SUFFIX = re.compile(r"-(?:[0-9]{1,5}x[0-9]{1,5}|scaled)(?=\.[A-Za-z0-9]{2,5}\Z)")


def _uploaded(url: str) -> Iterator[str]:
    """The upload's own URL, where this one is of a smaller file that was made of it."""
    bare, mark, query = url.partition("?")
    original = _SUFFIX.sub("", bare)
    if original != bare and "/" in bare:
        yield original + mark + query


def _scaled(url: str) -> Iterator[str]:
    """The big image's smaller file, which is what WordPress itself shows."""
    bare, mark, query = url.partition("?")
    stem, dot, extension = bare.rpartition(".")
    if dot and "/" in stem and "/" not in extension and not _SUFFIX.search(bare):
        yield f"{stem}-scaled.{extension}{mark}{query}"


WORDPRESS_VARIANTS = {
    "uploaded": Variant("the uploaded file of a `-300x200` or `-scaled` one", _uploaded),
    "scaled": Variant("the `-scaled` file that WordPress makes of a very large upload", _scaled),
}
