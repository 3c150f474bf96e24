from __future__ import annotations

import pytest
from support.rules import asset, compiled, files, images, planned

from service.domain.errors import RuleFailed
from service.rules.environment import RuleEnvironment
from service.rules.filters import compiled_regex
from service.settings.model import Rule

CLOUD = "https://res.cloudinary.com/demo/image/upload"


def rendered(template: str, **scope: object) -> str:
    return RuleEnvironment({"t.csv": {"1": "https://a/1", "x": "u\nv"}}).from_string(template).render(scope)


@pytest.mark.parametrize(
    ("value", "template", "expected"),
    [
        ("https://a/b.jpg?w=1#top", "without_query", "https://a/b.jpg"),
        ("https://a/b.jpg#top?w=1", "without_query", "https://a/b.jpg"),
        ("https://a/b.jpg", "without_query", "https://a/b.jpg"),
        ("https://a/b.jpg?w=1#top", "with_query('w=800')", "https://a/b.jpg?w=800"),
        ("https://a/b.jpg", "with_query('?w=800&q=75')", "https://a/b.jpg?w=800&q=75"),
        ("/b.jpg?x", "with_query('')", "/b.jpg"),
        ("https://a/b%20c.jpg?w=1#top", "site_path", "/b%20c.jpg?w=1"),
        ("https://user@a:8080/b", "site_path", "/b"),
        ("//a/b", "site_path", "/b"),
        ("https://a", "site_path", "/"),
        ("https://a?q", "site_path", "/?q"),
        ("/b?q#f", "site_path", "/b?q"),
        ("b/c", "site_path", "b/c"),
        ("http://a/b?c=d#e", "on_host('img.example.com')", "http://img.example.com/b?c=d"),
        ("https://u:p@a:81/b", "on_host('h:82')", "https://h:82/b"),
        ("//a/b", "on_host('h')", "//h/b"),
        ("https://a?q=https://a/", "on_host('h')", "https://h?q=https://a/"),
        ("aab", "regex_replace('a+', 'x')", "xb"),
        ("2026-10", r"regex_replace('(\d+)-(\d+)', '\\2/\\1')", "10/2026"),
        ("a b/ü(1)+'.jpg", "path_encode", "a%20b/%C3%BC%281%29%2B%27.jpg"),
        ("a b/ü(1)+'.jpg", "encode_uri", "a%20b/%C3%BC(1)+'.jpg"),
        ("a?b&c=1,2;#d%", "encode_uri", "a?b&c=1,2;#d%25"),
        ("1", "lookup('t.csv')", "https://a/1"),
        (1, "lookup('t.csv')", "https://a/1"),
        ("x", "lookup(table='t.csv')", "u\nv"),
        ("nobody", "lookup('t.csv')", ""),
        (f"{CLOUD}/v9/h.jpg", "cloudinary_variants", f"{CLOUD}/v9/h.jpg\n{CLOUD}/h.jpg\n{CLOUD}/v1/h.jpg"),
        (f"{CLOUD}/h.jpg", "cloudinary_variants", f"{CLOUD}/h.jpg\n{CLOUD}/v1/h.jpg"),
        ("https://a/v1/h.jpg", "cloudinary_variants", "https://a/v1/h.jpg"),
        (None, "default('x', true)", "x"),
    ],
)
def test_a_filter_gives(value: object, template: str, expected: str) -> None:
    compiler = compiled(
        Rule(src_images=["{{ payload | " + template + " }}"]),
        read=files(t_csv=b"id,url\n1,https://a/1\nx,u\nx,v\n"),
    )
    result = planned(compiler, asset(), payload=value)
    assert not result.failed, result.error
    assert "\n".join(images(result)) == expected


@pytest.mark.parametrize(
    ("value", "template", "message"),
    [
        (None, "without_query", "without_query takes text, not nothing (null)"),
        (5, "with_query('a')", "with_query takes text, not int"),
        ("/b.jpg", "on_host('h')", "on_host takes an absolute URL, not '/b.jpg'"),
        ("https://a/b", "on_host(source ~ '/x')", "on_host takes a host such as img.example.com, not 'cms/x'"),
        (True, "lookup('t.csv')", "lookup takes text, not bool"),
        ("a", "regex_replace('(' ~ source, 'x')", "'(cms' is no regular expression"),
        ("\ud800", "path_encode", "UnicodeEncodeError"),
    ],
)
def test_a_misused_filter_fails_its_rule(value: object, template: str, message: str) -> None:
    compiler = compiled(Rule(src_images=["{{ payload | " + template + " }}"]), read=files(t_csv=b"id,url\n"))
    error = planned(compiler, asset(), payload=value).error
    assert error is not None
    assert error.startswith("rule 'rule 1', src_images[0] `{{ payload | ")
    assert message in error


def test_an_undefined_value_is_named_by_the_filter_it_reaches() -> None:
    error = planned(compiled(Rule(src_images=["{{ payload.old | site_path }}"])), asset(), payload={}).error
    assert error is not None
    assert "'dict object' has no attribute 'old'" in error


@pytest.mark.parametrize("pattern", ["a" * 501, "(", "a{9999999999999999}", "(?P<x>a)(?P<x>b)"])
def test_a_bad_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(RuleFailed):
        compiled_regex(pattern)


def test_a_regular_expression_is_compiled_once() -> None:
    assert compiled_regex("a+b") is compiled_regex("a+b")
    assert compiled_regex("a" * 500).pattern == "a" * 500


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ none }}", ""),
        ("{{ 1 }}", "1"),
        ("<{{ '<&>' }}>\n", "<<&>>"),
        ("{{ 'ab' * 3 }}{{ 3 * [1] }}", "ababab[1, 1, 1]"),
        ("{{ 2 ** 10 }} {{ 6 * 7 }} {{ 2.5 * 2 }}", "1024 42 5.0"),
    ],
)
def test_the_environment_renders(template: str, expected: str) -> None:
    assert rendered(template) == expected


@pytest.mark.parametrize(
    "template", ["{{ n * 'ab' }}", "{{ [1] * n }}", "{{ 9 ** n }}", "{{ (9 ** 1000) * (9 ** 1000) }}"]
)
def test_the_environment_refuses_what_would_fill_the_memory(template: str) -> None:
    with pytest.raises(RuleFailed, match="too large"):
        rendered(template, n=10**9)
