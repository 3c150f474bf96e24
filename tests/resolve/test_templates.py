"""The address to GET: what a template may be, and that no value changes anything but its own place."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import RuleFailed
from service.domain.events import AssetEvent, AssetKind
from service.resolve.templates import MAX_URL, compile_url, within

TEMPLATE = (
    "https://api.example:8443/v1/spaces/{{ payload.space }}/assets/{{ asset.id }}.json?of={{ asset.environment }}&x=1"
)
HOSTILE = st.one_of(st.text(max_size=40), st.from_regex(r"[./?#&=%@:\\]{1,12}", fullmatch=True))


def rendered(template: str, asset_id: str = "a1", payload: Any = None, environment: str | None = "main") -> str:
    event = AssetEvent(kind=AssetKind.REPLACED, id=asset_id, environment=environment)
    return compile_url(template).render(event, payload=payload or {"space": 606}, headers={"x-a": "h"}, source="cms")


@pytest.mark.parametrize(
    ("template", "url"),
    [
        (TEMPLATE, "https://api.example:8443/v1/spaces/606/assets/a1.json?of=main&x=1"),
        ("https://api.example", "https://api.example"),
        ("https://api.example?q={{ asset.id }}", "https://api.example?q=a1"),
        ("http://127.0.0.1:9/{{ source }}/{{ headers['x-a'] }}", "http://127.0.0.1:9/cms/h"),
        ("http://[::1]:9/{{ asset.id | upper }}", "http://[::1]:9/A1"),
        (
            "https://api.example/{% if asset.environment %}{{ asset.environment }}/{% endif %}x",
            "https://api.example/main/x",
        ),
        ("https://api.example/{{ 'a/b' ~ asset.id }}", "https://api.example/a%2Fba1"),
    ],
)
def test_an_address(template: str, url: str) -> None:
    assert rendered(template) == url


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("", "must begin with https://"),
        ("api.example/{{ asset.id }}", "must begin with https://"),
        ("{{ payload.api }}/x", "must begin with https://"),
        ("{{ 'https' }}://api.example/x", "must begin with https://"),
        ("https://{{ payload.host }}/x", "must begin with https://"),
        ("https://api.{{ payload.host }}/x", "must begin with https://"),
        ("https://api.example{{ payload.rest }}", "must begin with https://"),
        ("https://api.example:{{ payload.port }}/", "must begin with https://"),
        ("https://user@api.example/", "must begin with https://"),
        ("ftp://api.example/", "must begin with https://"),
        ("http://api.example/", "must be https"),
        ("https://api.example/#{{ asset.id }}", "fragment"),
        ("https://api.example/{{ asset.idd }}", "did you mean 'id'"),
        ("https://api.example/{{ url }}", "not known here"),
        ("https://api.example/{{ asset.id | lookup('a.csv') }}", "tables for rules"),
        ("https://api.example/{{ asset.id", "unexpected end"),
        ("https://api.example/{% include 'x' %}", "rules have no files"),
    ],
)
def test_no_address(template: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        compile_url(template)


@pytest.mark.parametrize(
    ("template", "payload", "problem"),
    [
        (TEMPLATE, {"spaces": 1}, "has no attribute 'space'"),
        (TEMPLATE, {"space": None}, "nothing"),
        (TEMPLATE, {"space": True}, "bool"),
        (TEMPLATE, {"space": ["a"]}, "list"),
        (TEMPLATE, {"space": ""}, "empty"),
        (TEMPLATE, {"space": "."}, "another place"),
        (TEMPLATE, {"space": ".."}, "another place"),
        ("https://api.example/.{{ payload.space }}/x", {"space": "x"}, None),
        ("https://api.example/.{{ payload.space }}/x", {"space": "."}, "another place"),
        ("https://api.example/a/../{{ asset.id }}", {}, "another place"),
        ("https://api.example/{{ payload.space }}", {"space": "x" * MAX_URL}, "more than"),
        ("https://api.example/a b/{{ asset.id }}", {}, "no address"),
        ("https://api.example/{{ 1 // 0 }}", {}, "ZeroDivisionError"),
        ("https://api.example/{{ 'a' * 99999 }}", {}, "too large"),
    ],
)
def test_values_that_make_no_address(template: str, payload: Any, problem: str | None) -> None:
    if problem is None:
        assert rendered(template, payload=payload)
        return
    with pytest.raises(RuleFailed, match=r"^resolve\.url: ") as failed:
        rendered(template, payload=payload)
    assert problem in str(failed.value)


@given(HOSTILE, HOSTILE, st.one_of(HOSTILE, st.none()))
def test_whatever_a_sender_writes_the_host_the_path_and_the_query_stay(
    asset_id: str, space: str, environment: str | None
) -> None:
    try:
        url = rendered(TEMPLATE, asset_id, {"space": space}, environment)
    except RuleFailed:
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.fragment) == ("https", "api.example:8443", "")
    segments = parts.path.split("/")
    assert len(segments) == 6
    assert segments[:3] == ["", "v1", "spaces"]
    assert segments[4] == "assets"
    assert not {".", ".."} & set(segments)
    assert [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)] == ["of", "x"]
    if not any("\ud800" <= char <= "\udfff" for char in space + asset_id):
        assert unquote(segments[3]) == space
        assert unquote(segments[5]) == f"{asset_id}.json"


@pytest.mark.parametrize(
    ("url", "inside"),
    [
        ("https://api.example/x", True),
        ("https://api.example?x", True),
        ("https://api.example", True),
        ("https://api.example.evil/x", False),
        ("https://api.example@evil/x", False),
        ("https://api.example:444/x", False),
        ("http://api.example/x", False),
    ],
)
def test_within(url: str, inside: bool) -> None:
    assert within(url, "https://api.example") is inside
