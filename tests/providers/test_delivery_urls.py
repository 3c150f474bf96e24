"""URLs of a payload, at the host that delivers."""

from __future__ import annotations

import pytest

from service.providers.base import SourceProblem
from service.providers.delivery_urls import at_host, delivery_host, delivery_urls
from service.settings.model import Source


@pytest.mark.parametrize("host", [None, "img.example.com", "localhost:3000"])
def test_a_host(host: str | None) -> None:
    assert delivery_host(Source(provider="x", cdn_host=host)) == host


@pytest.mark.parametrize("host", ["https://img.example.com", "img.example.com/a", "", "a b", "user@host"])
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(SourceProblem, match=r"cannot be part of an image's URL") as found:
        delivery_host(Source(provider="x", cdn_host=host))
    assert found.value.key == "cdn_host"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://cdn.example/a/b.jpg?w=1#x", "https://img.example.com/a/b.jpg?w=1#x"),
        ("https://user@cdn.example:8443/a%2Fb", "https://img.example.com/a%2Fb"),
        ("https://[broken/a", "https://[broken/a"),
    ],
)
def test_another_host(url: str, expected: str) -> None:
    assert at_host(url, "img.example.com") == expected
    assert at_host(url, None) == url


def test_the_absolute_urls_of_an_object_each_once() -> None:
    data = {"a": "https://x/1", "b": "/relative", "c": "https://x/1", "d": None, "e": "http://x/2"}
    assert delivery_urls(data, "a", "b", "c", "d", "e", "absent") == ("https://x/1", "http://x/2")
    assert delivery_urls("no object", "a") == ()
    assert delivery_urls({"a": "https://x/1", "b": "https://y/1"}, "a", "b", host="h") == ("https://h/1",)
