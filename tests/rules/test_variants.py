"""Other spellings of a URL: generic ones, those of a provider, and rules that switch them on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rules import URL, asset, compiled, files, images, planned

from service.domain.errors import ConfigInvalid
from service.domain.events import AssetKind
from service.domain.variants import Variant
from service.rules.compiled import compile_rules, compile_settings
from service.rules.variants import GENERIC, MAX_SPELLINGS, spelled
from service.settings.model import Project, Rule, Settings, Source


@pytest.mark.parametrize(
    ("name", "url", "others"),
    [
        ("without-query", "https://a.example/x.jpg?w=1#f", ["https://a.example/x.jpg"]),
        ("site-path", "https://a.example/x.jpg?w=1", ["/x.jpg?w=1"]),
        ("port-443", "https://a.example/x.jpg", ["https://a.example:443/x.jpg"]),
        ("port-443", "https://a.example:443/x.jpg?a=b/c", ["https://a.example/x.jpg?a=b/c"]),
        ("port-443", "https://a.example", ["https://a.example:443"]),
        ("port-443", "https://[::1]/x", ["https://[::1]:443/x"]),
        ("port-443", "https://a.example:8443/x", []),
        ("port-443", "https://a.example:/x", []),
        ("port-443", "https://a.example:port/x", []),
        ("port-443", "http://a.example/x", []),
        ("port-443", "/x.jpg", []),
        ("port-443", "https:///x", []),
        ("protocol-relative", "https://a.example/x", ["//a.example/x"]),
        ("protocol-relative", "http://a.example/x", ["//a.example/x"]),
        ("protocol-relative", "/x", []),
    ],
)
def test_a_generic_spelling(name: str, url: str, others: list[str]) -> None:
    assert list(GENERIC[name].spell(url)) == others


@pytest.mark.parametrize("name", GENERIC)
@given(url=st.text(max_size=40) | st.text(max_size=20).map(lambda text: f"https://{text}"))
def test_no_text_is_too_odd(name: str, url: str) -> None:
    assert all(isinstance(other, str) for other in GENERIC[name].spell(url))


def test_variants_add_up() -> None:
    spells = [GENERIC["port-443"].spell, GENERIC["without-query"].spell, lambda _: ["", "/x"]]
    assert list(spelled(["https://a.example/x?w=1", "/x"], spells)) == [
        "https://a.example/x?w=1",
        "https://a.example:443/x?w=1",
        "https://a.example/x",
        "https://a.example:443/x",
        "/x",
        "/x",
    ]


def test_spellings_are_bounded() -> None:
    assert len(list(spelled(["a"], [lambda url: [f"{url}{number}" for number in range(1000)]]))) == MAX_SPELLINGS


def test_a_rule_is_for_the_other_spellings_too() -> None:
    rules = compiled(Rule(variants=["without-query"], when='"w=1" in url'))
    assert images(planned(rules, asset(AssetKind.REPLACED, URL))) == [URL, URL.partition("?")[0]]
    assert images(planned(compiled(Rule()), asset(AssetKind.REPLACED, URL))) == [URL]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (Rule(variants=["port443"]), "rules[0].variants[0]: no variant 'port443'; did you mean 'port-443'?"),
        (
            Rule(variants=["x"]),
            "rules[0].variants[0]: no variant 'x'; "
            "known: without-query, site-path, port-443, protocol-relative, upside-down",
        ),
        (
            Rule(variants=["site-path"], src_images=["/{{ asset.id }}.jpg"]),
            "rules[0].variants: would do nothing: no entry of src_images mentions url",
        ),
    ],
)
def test_variants_that_make_no_sense(rule: Rule, problem: str) -> None:
    own = {"upside-down": Variant("reversed", lambda url: [url[::-1]])}
    with pytest.raises(ConfigInvalid) as caught:
        compile_rules(
            Source(provider="contentful", rules=[rule]),
            projects=["shop"],
            limits={"shop": 99},
            read=files(),
            variants=own,
        )
    assert caught.value.lines() == [problem]


def test_a_provider_knows_more() -> None:
    source = Source(provider="contentful", rules=[Rule(variants=["upside-down"])])
    settings = Settings(projects={"shop": Project(project="p")}, sources={"cms": source})
    own = {"upside-down": Variant("reversed", lambda url: [url[::-1]])}
    rules = compile_settings(settings, files(), lambda given: own if given is source else {})
    assert images(planned(rules["cms"], asset(AssetKind.REPLACED, "/ab"))) == ["/ab", "ba/"]
