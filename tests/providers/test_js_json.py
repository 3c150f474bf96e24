"""JSON as JavaScript writes it; what the right answers are was asked of Node."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.providers.js_json import reserialized, stringify

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | FLOATS | st.text(st.characters(exclude_categories=()), max_size=8)
KEYS = st.sampled_from(["0", "2", "10", "01", "-1", "4294967294", "4294967295", "a", "__proto__", ""]) | st.text(
    max_size=4
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1.0", "1"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1E2", "100"),
        ("1e21", "1e+21"),
        ("-1.5e21", "-1.5e+21"),
        ("123456789012345680000", "123456789012345680000"),
        ("9007199254740993", "9007199254740992"),
        ("0.000001", "0.000001"),
        ("-0.0000001", "-1e-7"),
        ("0.00000012", "1.2e-7"),
        ("12.5", "12.5"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1e999", "null"),
        ("-1e999", "null"),
        (" [ 1 , true,false, null ] ", "[1,true,false,null]"),
        ("{}", "{}"),
        ('{"b":1,"10":2,"9":3,"b":4}', '{"9":3,"10":2,"b":4}'),
        ('{"01":1,"4294967295":2,"4294967294":3}', '{"4294967294":3,"01":1,"4294967295":2}'),
        ('{"a":{"__proto__":1}}', '{"a":{"__proto__":1}}'),
        (r'"\"\\\/\b\f\n\r\t\u0001\u007f\u2028"', '"\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f\u2028"'),
        (r'"\ud83d\ude00\ud800"', '"\U0001f600\\ud800"'),
        (r'"\udc00\ud83d"', r'"\udc00\ud83d"'),
    ],
)
def test_what_node_writes(text: str, written: str) -> None:
    assert reserialized(text.encode()) == written


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"NaN", b"Infinity", b"-Infinity", b"01", b"1.", b"'a'", b"[1,]", b"\xff", b"\xef\xbb\xbf1"),
        *(b'"\x01"', b"[" * 65 + b"]" * 65, b"[" * 100_000, b"\xc2\xa01", "\u0661".encode()),
    ],
)
def test_what_javascript_or_the_relay_does_not_take(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        reserialized(body)


@given(DOCUMENTS)
def test_what_is_written_means_the_same_and_stays_as_it_is(document: Any) -> None:
    written = stringify(document)
    assert json.loads(written, parse_int=float) == document
    assert reserialized(written.encode()) == written


@given(DOCUMENTS)
def test_white_space_and_escapes_make_no_difference(document: Any) -> None:
    for loose in (json.dumps(document, indent=1), json.dumps(document, ensure_ascii=True, separators=(" ,", " : "))):
        assert reserialized(loose.encode()) == stringify(document)


@given(st.binary(max_size=40))
def test_any_bytes_are_written_or_refused(body: bytes) -> None:
    try:
        reserialized(body)
    except ValueError:
        return
    json.loads(body)
