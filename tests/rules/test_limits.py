from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.limits import refusal, sendable_text, shown


@pytest.mark.parametrize(
    ("image", "limit"),
    [
        ("a", 1),
        ("/images/hero.png?a=b c", 1013),
        ("x" * 1013, 1013),
        ("ü" * 506, 1013),
        ("x" * 8192, 8192),
        ("日本", 6),
    ],
)
def test_within_the_limits(image: str, limit: int) -> None:
    assert refusal(image, limit) is None


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("", "the source image is empty"),
        ("x" * 1014, "the source image has 1014 bytes of UTF-8, 1013 are allowed"),
        ("ü" * 507, "the source image has 1014 bytes of UTF-8, 1013 are allowed"),
        ("/a/*.png", "the source image holds *, which Vercel may read as every image of the project"),
        ("a\0b", "the source image holds the control character U+0000"),
        ("a\nb", "the source image holds the control character U+000A"),
        ("a\x7f", "the source image holds the control character U+007F"),
        ("a\x85", "the source image holds the control character U+0085"),
        ("a\u2028", "the source image holds the control character U+2028"),
        ("a\ud800", "the source image holds the lone surrogate U+D800"),
    ],
)
def test_beyond_the_limits(image: str, reason: str) -> None:
    assert refusal(image, 1013) == reason


anything = st.text(st.characters(codec=None) | st.sampled_from("*\0\n\x7f\u2029\udfff"))


@given(anything, st.integers(1, 64))
def test_what_is_let_through_is_what_vercel_takes(image: str, limit: int) -> None:
    if refusal(image, limit) is None:
        assert 1 <= len(image.encode("utf-8")) <= limit
        assert "*" not in image
        assert all(ord(letter) >= 32 and not 127 <= ord(letter) <= 159 for letter in image)


@given(anything)
def test_what_is_shown_can_be_stored_anywhere(image: str) -> None:
    assert sendable_text(shown(image))
    assert "\0" not in shown(image).encode().decode()
    if sendable_text(image):
        assert shown(image) == image


def test_shown_spells_out_what_cannot_be_seen() -> None:
    assert shown("a\0b\u2028c\udc80") == r"a\x00b\u2028c\udc80"
