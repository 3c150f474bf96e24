from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.cloudinary_urls import with_version, without_version

CLOUD = "https://res.cloudinary.com/demo/image/upload"


@pytest.mark.parametrize(
    ("url", "bare", "version_7"),
    [
        (f"{CLOUD}/v9/p/hero.jpg", f"{CLOUD}/p/hero.jpg", f"{CLOUD}/v7/p/hero.jpg"),
        (f"{CLOUD}/hero.jpg", f"{CLOUD}/hero.jpg", f"{CLOUD}/v7/hero.jpg"),
        (f"{CLOUD}/v9/v8/hero.jpg", f"{CLOUD}/v8/hero.jpg", f"{CLOUD}/v7/v8/hero.jpg"),
        (f"{CLOUD}/v9", f"{CLOUD}/v9", f"{CLOUD}/v7/v9"),
        (f"{CLOUD}/w_80,c_fill/f_auto/v9/h", f"{CLOUD}/w_80,c_fill/f_auto/h", f"{CLOUD}/w_80,c_fill/f_auto/v7/h"),
        (f"{CLOUD}/s--Ab-_1--/w_80/v9/h", f"{CLOUD}/s--Ab-_1--/w_80/h", f"{CLOUD}/s--Ab-_1--/w_80/v7/h"),
        (f"{CLOUD}/my_folder/h.jpg", f"{CLOUD}/my_folder/h.jpg", f"{CLOUD}/v7/my_folder/h.jpg"),
        (f"{CLOUD}/w_80", f"{CLOUD}/w_80", f"{CLOUD}/v7/w_80"),
        (f"{CLOUD}/v9/h.jpg?_a=1#v9", f"{CLOUD}/h.jpg?_a=1#v9", f"{CLOUD}/v7/h.jpg?_a=1#v9"),
        ("http://demo-res.cloudinary.com/image/private/v9/h", "http://demo-res.cloudinary.com/image/private/h",
         "http://demo-res.cloudinary.com/image/private/v7/h"),
        ("//img.example.com/image/authenticated/v9/h", "//img.example.com/image/authenticated/h",
         "//img.example.com/image/authenticated/v7/h"),
    ],
)  # fmt: skip
def test_the_version_of_a_delivery_url(url: str, bare: str, version_7: str) -> None:
    assert without_version(url) == bare
    assert with_version(url, 7) == with_version(url, "7") == version_7


@pytest.mark.parametrize(
    "url", ["", "/v9/hero.jpg", "https://a/v9/hero.jpg", "https://res.cloudinary.com/demo/image/fetch/v9/https://a/b"]
)
def test_other_urls_stay(url: str) -> None:
    assert without_version(url) == with_version(url, 1) == url


@given(st.lists(st.sampled_from(["v9", "v8", "w_80", "p", "hero.jpg", "s--a--", "my_x", ""]), max_size=5).map("/".join))
def test_a_version_put_in_can_be_taken_out(rest: str) -> None:
    url = f"{CLOUD}/{rest}"
    assert without_version(with_version(url, 7)) == without_version(url)
    assert with_version(with_version(url, 7), 8) == with_version(url, 8)
