from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rules import asset, compiled, files, images, planned

from service.domain.errors import ConfigInvalid
from service.domain.events import AssetKind
from service.domain.purges import Action
from service.rules.compiled import compile_settings
from service.settings.model import Project, Rule, Settings, Source


def problems(*rules: Rule, **options: bytes) -> list[str]:
    with pytest.raises(ConfigInvalid) as raised:
        compiled(*rules, read=files(**options))
    return raised.value.lines()


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("", "unexpected 'end of template'"),
        ("asset.kind ==", "unexpected 'end of template'"),
        ("asset.kind\n== ==", "unexpected '==' (line 2)"),
        ("asset.kind asset.id", "more follows after the end of the expression"),
        ("asset.kind | lowr", "unknown filter 'lowr', did you mean 'lower'?"),
        ("asset.kind is defned", "unknown test 'defned', did you mean 'defined'?"),
        ("asset.kind is zzzzzz", "unknown test 'zzzzzz'"),
        ("pyload.x", "unknown name 'pyload', did you mean 'payload'?"),
        ("zzz", "unknown name 'zzz' (known: asset, url, payload, headers, source)"),
        ("asset.knd == 'x'", "unknown attribute of asset 'knd', did you mean 'kind'?"),
        ("asset['knd']", "unknown attribute of asset 'knd', did you mean 'kind'?"),
        (
            "asset.zzz",
            "unknown attribute of asset 'zzz' (known: id, kind, urls, earlier_urls, bucket, key, filename, mime_type, "
            "environment, locale, occurred_at)",
        ),
        ("asset.content_hash", "unknown attribute of asset 'content_hash' (known: "),
        ("asset.__class__", "unknown attribute of asset '__class__'"),
        ("asset.kind == 'replcaed'", "unknown asset.kind 'replcaed', did you mean 'replaced'?"),
        ("asset.kind in ['deleted', 'gone']", "unknown asset.kind 'gone' (known: created, updated, replaced,"),
        ("asset.kind not in ('create', 7)", "unknown asset.kind 'create', did you mean 'created'?"),
        ("payload.items.x", ".items is a method of every JSON object; for the key of that name write ['items']"),
        ("headers.a.keys == 1", ".keys is a method of every JSON object"),
        ("lipsum()", "unknown name 'lipsum'"),
        ("'\\x'", "truncated"),
        ("(" * 5000 + "1" + ")" * 5000, "nested too deeply"),
        ("1" * 5000, "Exceeds the limit"),
    ],
)
def test_a_bad_when_is_a_problem(when: str, message: str) -> None:
    (line,) = problems(Rule(when=when))
    assert line.startswith("rules[0].when: ")
    assert message in line


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ url", "unexpected end of template, expected 'end of print statement'."),
        ("\n{% if url %}", "(line 2)"),
        ("{{ url | without_qery }}", "unknown filter 'without_qery', did you mean 'without_query'?"),
        ("{% if 0 %}{{ url | without_qery }}{% endif %}", "unknown filter 'without_qery'"),
        ("{{ url | with_query }}", "with_query: missing a required argument: 'query'"),
        ("{{ url | with_query('a', 'b') }}", "with_query: too many positional arguments"),
        ("{{ url | with_query(5) }}", "with_query: with_query takes text, not int"),
        ("{{ url | on_host('https://h') }}", "on_host: on_host takes a host"),
        ("{{ url | regex_replace('(', '') }}", "regex_replace: '(' is no regular expression"),
        ("{{ url | regex_replace('" + "a" * 501 + "', '') }}", "501 characters, 500 are allowed"),
        ("{{ url | regex_replace('(a)', '\\\\2') }}", "regex_replace: invalid group reference 2"),
        ("{{ url | regex_replace('(a)', '\\\\g<x>') }}", "regex_replace: unknown group name 'x'"),
        ("{{ url | regex_replace('(a)', '\\1') }}", r'Jinja reads "\1" and "\b" as control characters'),
        ("{{ asset.id | lookup }}", "lookup: missing a required argument: 'table'"),
        ("{{ asset.id | lookup(asset.key) }}", "lookup: name the table as a plain string"),
        ("{{ asset.id | lookup('../t.csv') }}", "lookup: '../t.csv' must be a relative path"),
        ("{{ asset.id | lookup('gone.csv') }}", "lookup: gone.csv cannot be read: No such file or directory"),
        ("{% include 'x' %}", "{% include %} needs another template, and rules have no files"),
        ("{% import 'x' as y %}", "{% import %} needs another template"),
        ("{% from 'x' import y %}", "{% from %} needs another template"),
        ("{% extends 'x' %}", "{% extends %} needs another template"),
        ("{% block a %}{% endblock %}{% block a %}{% endblock %}", "block 'a' defined twice"),
        ("{% for x in [1] %}" * 25 + "{% endfor %}" * 25, "cannot be compiled: too many statically nested blocks"),
        ("{{ link }}", "unknown name 'link'"),
        ("{{ without_query(url) }}", "without_query is a filter: write url | without_query, not without_query(url)"),
        ("{{ lookup('t.csv') }}", "lookup is a filter: write url | lookup, not lookup(url)"),
    ],
)
def test_a_bad_template_is_a_problem(template: str, message: str) -> None:
    (line,) = problems(Rule(src_images=["{{ url }}", template]))
    assert line.startswith("rules[0].src_images[1]: ")
    assert message in line


@pytest.mark.parametrize(
    "template",
    [
        "{% set asset = payload %}{{ asset.zzz }}",
        "{% set link = url %}{{ link }}",
        "{% for url in asset.urls %}{{ url }}{% endfor %}",
        "{% for name, value in payload.items() %}{{ name }}{% endfor %}",
        "{{ asset[payload] }}{{ asset['id'] }}{{ payload['items'] }}",
        "{{ range(3) | join }}{{ [1].keys }}{{ (1).items }}{{ [url].copy }}",
        "{{ url | with_query(*payload) }}{{ url | with_query(**payload) }}{{ url | with_query(query=payload) }}",
        "{{ asset.kind == payload.x }}{{ asset.kind in ['deleted', source] }}{{ asset.kind in 'deleted gone' }}",
        "{{ asset.kind > 'm' }}{{ source == 'gone' }}{{ asset.key in ['gone'] }}{{ payload.kind == 'gone' }}",
        r"{{ url | regex_replace('\.jpe?g$', '.\\g<0>') }}",
        "{% filter upper %}x{% endfilter %}",
    ],
)
def test_a_good_template_compiles(template: str) -> None:
    assert len(compiled(Rule(src_images=[template])).rules) == 1


def test_every_problem_of_a_source_is_told_at_once() -> None:
    lines = problems(
        Rule(when="urll", src_images=["{{ a }}", "{{ b }}"]),
        Rule(action=Action.INVALIDATE, revalidation_deadline_seconds=5, projects=["shp", "zzz"]),
    )
    assert lines == [
        "rules[0].when: unknown name 'urll', did you mean 'url'?",
        "rules[0].src_images[0]: unknown name 'a' (known: asset, url, payload, headers, source)",
        "rules[0].src_images[1]: unknown name 'b' (known: asset, url, payload, headers, source)",
        "rules[1].revalidation_deadline_seconds: only `action: delete` takes a deadline",
        "rules[1].projects: no project 'shp', did you mean 'shop'?",
        "rules[1].projects: no project 'zzz'",
    ]


def test_one_expression_may_hold_several_problems() -> None:
    assert len(problems(Rule(when="asset.knd == foo and bar"))) == 3
    assert len(problems(Rule(when="1 | foo is bar"))) == 2


def test_a_table_is_read_once_when_the_rules_are_compiled() -> None:
    reads: list[str] = []

    def read(path: str) -> bytes:
        reads.append(path)
        return b'{"a1": ["https://a/1", "https://a/2"]}'

    template = "{{ asset.id | lookup('ids/t.json') }}"
    rules = compiled(Rule(when="asset.id | lookup('ids/t.json')", src_images=[template, template]), read=read)
    for _ in range(2):
        assert images(planned(rules, asset())) == ["https://a/1", "https://a/2"]
    assert reads == ["ids/t.json"]


@pytest.mark.parametrize("name", ["cms", "dam"])
def test_settings_are_compiled_by_source(name: str) -> None:
    relay = Settings(
        projects={"shop": Project(project="p", max_src_image_bytes=10), "blog": Project(project="b")},
        sources={
            "cms": Source(provider="contentful"),
            "dam": Source(provider="cloudinary", projects=["blog"], rules=[Rule(projects=["shop"])]),
        },
    )
    (rule,) = compile_settings(relay, files())[name].rules
    assert rule.projects == ({"shop": 10, "blog": 1013} if name == "cms" else {"shop": 10})


def test_problems_of_settings_have_their_path_from_the_top() -> None:
    bad = Source(provider="contentful", rules=[Rule(when="x.y")])
    with pytest.raises(ConfigInvalid) as raised:
        compile_settings(Settings(sources={"a": bad, "good": Source(provider="sanity"), "b": bad}), files())
    assert [problem.path for problem in raised.value.problems] == ["sources.a.rules[0].when", "sources.b.rules[0].when"]


GONE = {AssetKind.DELETED, AssetKind.UNPUBLISHED}


@pytest.mark.parametrize("kind", list(AssetKind))
@pytest.mark.parametrize(
    ("rule", "held", "gone"),
    [
        (Rule(), (60, 2.0), (0, 0.0)),
        (Rule(revalidation_deadline_seconds=0, settle=0), (0, 0.0), (0, 0.0)),
        (Rule(revalidation_deadline_seconds=5, settle=7), (5, 7.0), (5, 7.0)),
        (Rule(action=Action.INVALIDATE), (0, 2.0), (0, 0.0)),
    ],
)
def test_deadline_and_settle(kind: AssetKind, rule: Rule, held: tuple[int, float], gone: tuple[int, float]) -> None:
    (purge,) = planned(compiled(rule), asset(kind, "https://a/b")).purges
    expected = gone if kind in GONE else held
    assert (purge.deadline, purge.settle) == expected
    assert purge.action is rule.action


source_text = st.text(st.sampled_from("{}%|()[]'\"\\.=~ *-+<>!,:#\n0192abeux_ \ud800") | st.characters(), max_size=40)
WORDS = (
    "asset url payload headers source if else for in not and or is {{ }} {% %} ( ) [ ] . | ~ * ** / 'x' 1 9999 "
    "set endfor endif join lookup range loop macro call self True none default(1) regex_replace('a','b')"
)
words = st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join)


@settings(deadline=None)
@given(source_text | words, source_text | words)
def test_no_rule_text_yields_anything_but_rules_or_problems(when: str, template: str) -> None:
    try:
        rules = compiled(Rule(when=when, src_images=[template, "{{ " + template + " }}"]))
    except ConfigInvalid:
        return  # at least one problem, told in words: any other exception fails this test
    result = planned(rules, asset(AssetKind.CREATED, "https://a/b"), payload={"a": 1})
    assert len(result.traces) == 1
