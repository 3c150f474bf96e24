"""The files WordPress makes of one upload."""

from __future__ import annotations

import pytest

from service.providers.wordpress_urls import WORDPRESS_VARIANTS

BASE = "https://wp.example/wp-content/uploads/2026/11"


@pytest.mark.parametrize(
    ("variant", "url", "others"),
    [
        ("uploaded", f"{BASE}/hero-300x200.jpg", [f"{BASE}/hero.jpg"]),
        ("uploaded", f"{BASE}/hero-scaled.jpeg?w=1", [f"{BASE}/hero.jpeg?w=1"]),
        ("uploaded", f"{BASE}/hero-1-300x200.webp", [f"{BASE}/hero-1.webp"]),
        ("uploaded", f"{BASE}/hero.jpg", []),
        ("uploaded", f"{BASE}/hero-300x200", []),
        ("uploaded", f"{BASE}/hero.jpg?-300x200.jpg", []),
        ("uploaded", "hero-scaled.jpg", []),
        ("scaled", f"{BASE}/hero.jpg", [f"{BASE}/hero-scaled.jpg"]),
        ("scaled", f"{BASE}/hero.jpg?w=1", [f"{BASE}/hero-scaled.jpg?w=1"]),
        ("scaled", f"{BASE}/hero-scaled.jpg", []),
        ("scaled", f"{BASE}/hero-300x200.jpg", []),
        ("scaled", f"{BASE}/hero", []),
        ("scaled", "hero.jpg", []),
        ("scaled", "", []),
    ],
)
def test_spellings(variant: str, url: str, others: list[str]) -> None:
    assert list(WORDPRESS_VARIANTS[variant].spell(url)) == others
