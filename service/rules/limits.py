"""What Vercel takes as one source image: https://vercel.com/docs/cli/cache (--srcimg)."""

from __future__ import annotations

import re

# C0, DEL, C1, the two line ends that only Unicode knows, and lone surrogates, which UTF-8 cannot carry.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def refusal(src_image: str, max_bytes: int) -> str | None:
    """Why `src_image` may not be sent to Vercel, None if it may; `max_bytes` counts UTF-8."""
    if not src_image:
        return "the source image is empty"
    if found := _unprintable(src_image):
        kind = "lone surrogate" if "\ud800" <= found[0] <= "\udfff" else "control character"
        return f"the source image holds the {kind} U+{ord(found[0]):04X}"
    if "*" in src_image:
        return "the source image holds *, which Vercel may read as every image of the project"
    size = len(src_image.encode())
    if size > max_bytes:
        return f"the source image has {size} bytes of UTF-8, {max_bytes} are allowed"
    return None


def sendable_text(text: str) -> bool:
    """Whether `text` is free of what no image may hold: control characters and lone surrogates."""
    return _unprintable(text) is None


def shown(text: str) -> str:
    r"""`text` with control characters and lone surrogates spelled out (`\x00`), for stores and screens."""
    if text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


def _unprintable(text: str) -> re.Match[str] | None:
    # What Python calls printable is less than what the pattern lets pass, and is found out at a fraction of its cost.
    return None if text.isprintable() else _UNPRINTABLE.search(text)
