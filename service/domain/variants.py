"""Other spellings of one image's URL: a site may load it under any of them, and Vercel caches each apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct


class Variant(Struct, frozen=True):
    """What a spelling is, and the other URLs it makes of one: none where it does not apply. Never raises."""

    title: str
    spell: Callable[[str], Iterable[str]]
