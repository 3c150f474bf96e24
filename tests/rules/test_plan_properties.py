"""Any event against any rule of a small grammar."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rules import OLD, URL, compiled, files, planned

from service.domain.events import AssetEvent, AssetKind
from service.domain.purges import Action
from service.rules.limits import refusal
from service.settings.model import Rule

atoms = st.sampled_from(
    ["asset.kind", "asset.key", "asset.urls", "asset.occurred_at", "payload", "payload.a", "payload.a.b", "payload[0]",
     "headers.h", "headers['x-y']", "source", "url", "'x'", "''", "1", "none", "[1, 2]", "range(9)", "asset.id.upper()"]
)  # fmt: skip
filters = st.sampled_from(
    ["without_query", "with_query('w=1')", "with_query(source)", "site_path", "on_host('h')", "on_host(payload.a)",
     "regex_replace('a', 'b')", "regex_replace(payload.a, asset.id)", "lookup('t.csv')", "cloudinary_variants",
     "path_encode", "encode_uri", "default('d', true)", "join('\\n')", "upper", "length", "first", "int", "tojson"]
)  # fmt: skip


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(["~", "+", "*", "**", "in", "==", "<", "and", "or", "%"])
    return (
        st.tuples(inner, operator, inner).map(lambda parts: f"({' '.join(parts)})")
        | st.tuples(inner, filters).map(" | ".join).map(lambda text: f"({text})")
        | inner.map(lambda text: f"(not {text})")
        | inner.map(lambda text: f"({text} is defined)")
    )


expressions = st.recursive(atoms, larger, max_leaves=5)
templates = st.lists(
    expressions.map(lambda text: "{{ " + text + " }}") | st.sampled_from(["/", "\n", " "]), max_size=3
).map("".join)
rule_lists = st.lists(
    st.builds(
        Rule,
        when=st.booleans() | expressions,
        src_images=st.lists(templates, min_size=1, max_size=3),
        action=st.sampled_from(Action),
        settle=st.none() | st.floats(0, 9),
        projects=st.sampled_from([None, ["shop"], ["tiny", "shop"], []]),
        stop=st.booleans(),
    ),
    max_size=3,
)
texts = st.sampled_from([URL, OLD, "", "*", "a\nb", "\0", "\ud800", "x" * 1014, "https://["]) | st.text(max_size=20)
maybe = st.none() | texts
events = st.builds(
    AssetEvent,
    kind=st.sampled_from(AssetKind),
    id=texts,
    urls=st.lists(texts, max_size=3).map(tuple),
    earlier_urls=st.lists(texts, max_size=2).map(tuple),
    key=maybe,
    filename=maybe,
    occurred_at=st.none() | st.datetimes(timezones=st.just(UTC)),
)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "items"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rule_lists, events, payloads, st.dictionaries(st.sampled_from(["h", "x-y"]), texts))
def test_no_event_makes_a_rule_raise(
    rules: list[Rule], event: AssetEvent, payload: Any, headers: dict[str, str]
) -> None:
    limits = {"shop": 1013, "tiny": 4}
    prepared = compiled(*rules, projects=("shop", "tiny"), limits=limits, read=files(t_csv=b"id,url\n1,a\n"))
    result = planned(prepared, event, payload, **headers)
    assert len(result.traces) == max(len(rules), 1)
    assert len({(purge.project, purge.src_image) for purge in result.purges}) == len(result.purges)
    for purge in result.purges:
        assert purge.src_image == purge.src_image.strip(" \t\r\n") != ""
        assert (purge.refusal is None) == (purge in result.sendable)
        assert purge.deadline == 0 or purge.action is Action.DELETE
    for purge in result.sendable:
        assert refusal(purge.src_image, limits[purge.project]) is None
    msgspec.json.encode([result.traces, result.purges])  # what is kept can be written, whatever came in
