from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support.rules import OLD, asset, compiled, images, planned

from service.domain.events import AssetEvent, AssetKind
from service.domain.purges import Action
from service.rules.condition import Condition
from service.rules.scope import NAMES, Asset
from service.settings.model import Rule

A, B = "https://a/1", "https://a/2"
NO_URL = "the asset has no URL, neither in the event nor remembered"


@pytest.mark.parametrize("kind", list(AssetKind))
def test_the_default_rule(kind: AssetKind) -> None:
    result = planned(compiled(), asset(kind, A, B, earlier_urls=(OLD, A)))
    (trace,) = result.traces
    assert trace.rule == "default"
    assert not result.failed
    if kind in (AssetKind.CREATED, AssetKind.UNKNOWN):
        assert result.purges == ()
        assert trace.why == f'`asset.kind not in ["created", "unknown"]` does not hold: asset.kind is {kind.value!r}'
        return
    assert images(result) == [A, B, OLD]
    gone = kind in (AssetKind.DELETED, AssetKind.UNPUBLISHED)
    assert {(purge.action, purge.deadline, purge.settle) for purge in result.purges} == {
        (Action.DELETE, 0 if gone else 60, 0.0 if gone else 2.0)
    }


@pytest.mark.parametrize(
    ("when", "templates", "urls", "expected"),
    [
        (True, ["{{ url }}"], (A, B), [A, B]),
        (False, ["{{ url }}"], (A, B), []),
        ("asset.kind == 'replaced'", ["{{ url }}"], (A, B), [A, B]),
        ("asset.kind == 'deleted'", ["{{ url }}"], (A, B), []),
        # a condition on the URL: the templates see the URLs that passed
        ("'2' in url", ["{{ url }}"], (A, B), [B]),
        ("'2' in url", ["{{ url }}?{{ asset.urls | length }}"], (A, B), [f"{B}?2"]),
        ("'3' in url", ["{{ url }}", "x"], (A, B), []),
        # a template without URL: once, however many passed
        ("'a' in url", ["/x/{{ asset.id }}", "{{ url }}"], (A, B), ["/x/a1", A, B]),
        (True, ["/x/{{ asset.id }}"], (), ["/x/a1"]),
        # no URL at all
        (True, ["{{ url }}", "/x"], (), ["/x"]),
        ("url or true", ["/x"], (), []),
        # blanks, lines, duplicates
        (True, ["", " \n\t\r\n ", "{{ payload.none }}", "{{ '' }}"], (A,), []),
        (True, [" x \r\n\n\ty\n", "x"], (A,), ["x", "y"]),
        (True, ["{{ url }}", "{{ url | without_query }}", "{{ url }}"], (A, f"{A}?b"), [A, f"{A}?b"]),
        (True, ["{{ asset.urls | join('\n') }}"], (A, B), [A, B]),
        # the name `url` bound by the template itself is no mention of it
        (True, ["{% for url in asset.urls %}{{ url }}\n{% endfor %}"], (A, B), [A, B]),
        # everything in scope
        (
            "headers['x-topic'] == 'asset' and source == 'cms' and payload.n == 5",
            ["{{ source }}-{{ payload.n }}-{{ headers['x-topic'] }}-{{ asset.kind }}"],
            (),
            ["cms-5-asset-replaced"],
        ),
    ],
)
def test_a_rule_makes_images(
    when: str | bool, templates: list[str], urls: tuple[str, ...], expected: list[str]
) -> None:
    rules = compiled(Rule(when=when, src_images=templates))
    result = planned(rules, asset(AssetKind.REPLACED, *urls), {"n": 5, "none": None}, **{"x-topic": "asset"})
    assert not result.failed, result.error
    assert images(result) == expected


@pytest.mark.parametrize(
    ("when", "urls", "matched", "why"),
    [
        (True, (A,), True, "the rule has no condition"),
        (True, (), True, f"the rule has no condition; {NO_URL}, so templates that mention url make no image"),
        (False, (A,), False, "`when` is false"),
        ("1 > 2", (A,), False, "`1 > 2` does not hold"),
        (
            "asset.kind\n  == 'deleted'",
            (A,),
            False,
            "`asset.kind == 'deleted'` does not hold: asset.kind is 'replaced'",
        ),
        ("source == 'cms'", (A,), True, "`source == 'cms'` holds: source is 'cms'"),
        (
            "payload.a[0]['b c'] and payload.a[0]['b c'] and asset.key is none",
            (A,),
            True,
            "`payload.a[0]['b c'] and payload.a[0]['b c'] and asset.key is none` holds: payload.a[0]['b c'] is 1; "
            "asset.key is None",
        ),
        (
            "payload.x is defined and payload.x.y == 1",
            (A,),
            False,
            "`payload.x is defined and payload.x.y == 1` does not hold: payload.x is not defined; "
            "payload.x.y is not defined",
        ),
        ("payload.x is defined", (), False, "`payload.x is defined` does not hold: payload.x is not defined"),
        (
            "asset.id.startswith(payload.p)",
            (A,),
            True,
            "`asset.id.startswith(payload.p)` holds: asset.id is 'a1'; payload.p is 'a'",
        ),
        ("payload[asset.id] is defined", (A,), False, "`payload[asset.id] is defined` does not hold: asset.id is 'a1'"),
        ("payload[1.5] is defined", (A,), False, "`payload[1.5] is defined` does not hold"),
        (
            "range(3) | length == payload.a[0].n",
            (A,),
            True,
            "`range(3) | length == payload.a[0].n` holds: payload.a[0].n is 3",
        ),
        ("url | length", (), False, f"`url | length` mentions url, and {NO_URL}"),
        ("'1' in url", (A,), True, f"`'1' in url` holds for '{A}'"),
        ("'2' in url", (A,), False, f"`'2' in url` does not hold for '{A}'"),
        ("'a' in url", (A, B), True, "`'a' in url` holds for all 2 URLs"),
        ("'x' in url", (A, B), False, "`'x' in url` holds for none of the 2 URLs"),
        ("'1' in url", (A, B), True, f"`'1' in url` holds for 1 of 2 URLs, not for '{B}'"),
        ("'1' in url", (A, B, OLD), True, f"`'1' in url` holds for 1 of 3 URLs, not for '{B}' and 1 more"),
        ("payload.long", (A,), True, "`payload.long` holds: payload.long is 'xxx"),
    ],
)
def test_why_a_rule_did_or_did_not_match(when: str | bool, urls: tuple[str, ...], matched: bool, why: str) -> None:
    payload = {"a": [{"b c": 1, "n": 3}], "p": "a", "long": "x" * 10_000}
    (trace,) = planned(compiled(Rule(when=when)), asset(AssetKind.REPLACED, *urls), payload).traces
    assert trace.matched is matched
    if isinstance(when, str) and "long" in when:
        assert trace.why.startswith(why)
        assert len(trace.why) < 200
    else:
        assert trace.why == why


def test_the_trace_shows_where_every_image_came_from() -> None:
    rules = compiled(Rule(name="photos", src_images=["{{ url }}", "/p/{{ asset.id }}"]), projects=("shop", "blog"))
    (trace,) = planned(rules, asset(AssetKind.REPLACED, A)).traces
    assert [(image.src_image, image.template, image.url, image.project) for image in trace.images] == [
        (A, "{{ url }}", A, "shop"),
        (A, "{{ url }}", A, "blog"),
        ("/p/a1", "/p/{{ asset.id }}", None, "shop"),
        ("/p/a1", "/p/{{ asset.id }}", None, "blog"),
    ]


def test_every_matching_rule_contributes_until_one_says_stop() -> None:
    rules = compiled(
        Rule(src_images=["/1"]),
        Rule(when=False, src_images=["/2"], stop=True),
        Rule(name="last", src_images=["/3"], stop=True),
        Rule(src_images=["/4"]),
        Rule(src_images=["/5"]),
    )
    result = planned(rules, asset())
    assert images(result) == ["/1", "/3"]
    assert [(trace.rule, trace.matched) for trace in result.traces] == [
        ("rule 1", True), ("rule 2", False), ("last", True), ("rule 4", False), ("rule 5", False),
    ]  # fmt: skip
    assert {trace.why for trace in result.traces[3:]} == {"not reached: 'last' matched and has `stop: true`"}


@pytest.mark.parametrize(
    ("broken", "message", "matched"),
    [
        (Rule(when="payload.a.b"), "rule 'rule 1', when `payload.a.b`: 'dict object' has no attribute 'a'", False),
        (Rule(when="url > 5"), "rule 'rule 1', when `url > 5`: TypeError: '>' not supported", False),
        (
            Rule(name="r", src_images=["/ok", "{{ payload.a }}"]),
            "rule 'r', src_images[1] `{{ payload.a }}`: 'dict object' has no attribute 'a'",
            True,
        ),
        (
            Rule(src_images=["{{ asset.id.__class__ }}"]),
            "access to attribute '__class__' of 'str' object is unsafe",
            True,
        ),
        (Rule(src_images=["{{ asset[source ~ 'x'] }}"]), "has no attribute 'cmsx'", True),
        (Rule(src_images=["{{ payload.update({'a': 1}) }}"]), "access to attribute 'update'", True),
        (Rule(src_images=["{{ 1 / 0 }}"]), "ZeroDivisionError: division by zero", True),
        (Rule(src_images=["{{ 'x' * 100000 }}"]), "the result of * is too large", True),
        (Rule(src_images=["{% for i in range(70000) %}x{% endfor %}"]), "writes more than 65536 characters", True),
        (Rule(src_images=["{% for i in range(100001) %}x{% endfor %}"]), "OverflowError: Range too big", True),
        (
            Rule(src_images=["{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"]),
            "RecursionError: maximum recursion depth exceeded",
            True,
        ),
    ],
)
def test_a_rule_that_raises_takes_nothing_from_the_others(broken: Rule, message: str, matched: bool) -> None:
    result = planned(compiled(broken, Rule(src_images=["/fine"])), asset(AssetKind.REPLACED, A), {})
    assert images(result) == ["/fine"]
    assert result.failed
    assert result.error is not None
    assert message in result.error
    first = result.traces[0]
    assert (first.matched, first.images, first.error) == (matched, (), result.error)


def test_a_rule_that_failed_does_not_stop_the_list() -> None:
    rules = compiled(
        Rule(src_images=["{{ payload.a }}"], stop=True), Rule(when="payload.b"), Rule(src_images=["/fine"])
    )
    result = planned(rules, asset(), {})
    assert images(result) == ["/fine"]
    assert result.error is not None
    assert result.error.count("has no attribute") == 2


def test_a_plan_without_failure_has_no_error() -> None:
    result = planned(compiled(), asset(AssetKind.REPLACED, A))
    assert (result.failed, result.error) == (False, None)


INVALIDATE, DELETE = Action.INVALIDATE, Action.DELETE


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([Rule(), Rule()], [(DELETE, 60, "rule 1")]),
        ([Rule(), Rule(revalidation_deadline_seconds=5)], [(DELETE, 5, "rule 1")]),
        ([Rule(revalidation_deadline_seconds=5), Rule()], [(DELETE, 5, "rule 1")]),
        ([Rule(action=INVALIDATE), Rule(action=INVALIDATE)], [(INVALIDATE, 0, "rule 1")]),
        ([Rule(action=INVALIDATE), Rule()], [(DELETE, 60, "rule 2")]),
        ([Rule(), Rule(action=INVALIDATE)], [(DELETE, 60, "rule 1")]),
    ],
)
def test_duplicates_collapse(rules: list[Rule], expected: list[tuple[Action, int, str]]) -> None:
    result = planned(compiled(*rules), asset(AssetKind.REPLACED, A))
    assert [(purge.action, purge.deadline, purge.rule) for purge in result.purges] == expected


@pytest.mark.parametrize(
    ("named", "expected"),
    [(None, ["shop", "blog"]), (["docs"], ["docs"]), (["blog", "docs"], ["blog", "docs"]), ([], [])],
)
def test_each_image_goes_to_every_project_of_the_rule(named: list[str] | None, expected: list[str]) -> None:
    limits = {"shop": 1013, "blog": 1013, "docs": 1013}
    rules = compiled(Rule(projects=named), projects=("shop", "blog"), limits=limits)
    assert [purge.project for purge in planned(rules, asset(AssetKind.REPLACED, A)).purges] == expected


def test_a_refused_image_stays_with_its_reason_and_can_be_stored() -> None:
    rules = compiled(
        Rule(src_images=["/0123456789", "/a*", "/nul{{ payload }}"]), projects=("s", "l"), limits={"s": 10, "l": 20}
    )
    result = planned(rules, asset(), "\0\ud800")
    assert [(purge.src_image, purge.project, purge.refusal) for purge in result.purges] == [
        ("/0123456789", "s", "the source image has 11 bytes of UTF-8, 10 are allowed"),
        ("/0123456789", "l", None),
        ("/a*", "s", "the source image holds *, which Vercel may read as every image of the project"),
        ("/a*", "l", "the source image holds *, which Vercel may read as every image of the project"),
        (r"/nul\x00\ud800", "s", "the source image holds the control character U+0000"),
        (r"/nul\x00\ud800", "l", "the source image holds the control character U+0000"),
    ]
    assert [(purge.src_image, purge.project) for purge in result.sendable] == [("/0123456789", "l")]
    assert [image.refusal for image in result.traces[0].images] == [purge.refusal for purge in result.purges]


@pytest.mark.parametrize(
    ("event", "template", "image"),
    [
        (asset(AssetKind.REPLACED, "https://a/1\nhttps://b/2"), "{{ url }}", r"https://a/1\nhttps://b/2"),
        (asset(AssetKind.REPLACED, key="a\nb"), "/{{ asset.key }}", r"/a\nb"),
    ],
)
def test_a_line_break_in_a_name_makes_no_second_image(event: AssetEvent, template: str, image: str) -> None:
    (purge,) = planned(compiled(Rule(src_images=[template])), event).purges
    assert purge.src_image == image
    assert purge.refusal == "the source image holds the control character U+000A"


def test_the_asset_shows_its_documented_attributes_and_no_others() -> None:
    documented = "id kind urls earlier_urls bucket key filename mime_type environment locale occurred_at"
    assert " ".join(Asset.__struct_fields__) == documented
    moment = datetime(2026, 11, 24, 4, 53, 48, tzinfo=UTC)
    event = asset(
        AssetKind.RENAMED, A, earlier_urls=(B,), bucket="bk", key="k", filename="f", mime_type="image/png",
        environment="e", locale="de", occurred_at=moment, content_hash="secret",
    )  # fmt: skip
    template = (
        "{{ asset.id }} {{ asset.kind }} {{ asset.urls[0] }} {{ asset.earlier_urls | first }} {{ asset.bucket }} "
        "{{ asset.key }} {{ asset.filename }} {{ asset.mime_type }} {{ asset.environment }} {{ asset.locale }} "
        "{{ asset.occurred_at.isoformat() }}"
    )
    result = planned(compiled(Rule(src_images=[template, "{{ asset }}"])), event)
    assert images(result)[0] == f"a1 renamed {A} {B} bk k f image/png e de 2026-11-24T04:53:48+00:00"
    assert "secret" not in images(result)[1]


def test_every_name_of_the_scope_can_be_used() -> None:
    assert NAMES == ("asset", "url", "payload", "headers", "source")
    when = "asset and url and payload and headers and source"
    assert planned(compiled(Rule(when=when)), asset(AssetKind.REPLACED, A), {"a": 1}, h="1").traces[0].matched


@pytest.mark.parametrize(
    ("when", "alone"),
    [
        ('asset.kind in ["created", "deleted"]', True),
        ("asset.kind == 'created' or not (asset.kind != 'deleted' and true)", True),
        ("asset.kind == asset.id", False),
        ("asset['kind'] == 'created'", False),
        ("asset.kind.upper() == 'CREATED'", False),
        ("asset.kind | upper == 'CREATED'", False),
        ("asset.kind == payload.kind", False),
        ("asset.kind == 'created' and '1' in url", False),
    ],
)
def test_an_answer_is_kept_where_the_kind_alone_decides(when: str, alone: bool) -> None:
    rules = compiled(Rule(when=when, src_images=["{{ url }}"]))
    condition = rules.rules[0].condition
    assert isinstance(condition, Condition)
    kinds = (AssetKind.CREATED, AssetKind.REPLACED)
    first, again = ([planned(rules, asset(kind, A), payload={"kind": "created"}) for kind in kinds] for _ in range(2))
    assert first == again
    assert [result.traces[0].matched for result in first] == [when != "asset.kind == asset.id", False]
    assert (condition.by_kind is not None) is alone
    assert set(condition.by_kind or {}) == (set(kinds) if alone else set())


def test_a_url_that_is_too_long_for_a_template_is_a_failure_of_the_rule() -> None:
    result = planned(compiled(Rule(src_images=["{{ url }}"])), asset(AssetKind.REPLACED, "https://a/" + "x" * 65536))
    assert "writes more than 65536 characters" in (result.error or "")
