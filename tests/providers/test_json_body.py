"""JSON bodies: what is refused for good, and looking into them without an exception."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Unreadable
from service.providers import json_body


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b" ",
            b"{",
            b"{]",
            b"NaN",
            b"Infinity",
            b"'x'",
            b"{'a': 1}",
            b"\xff",
            b'"\xff"',
            b'"\\ud800"',
            b"1 2",
            b"{}x",
        ),
        *(
            b"1e999",
            b"[1e400]",
            b"1" + b"0" * 20,
            b"-1" + b"0" * 20,
            b'{"a": [18446744073709551617]}',
            b'{"a": "00000000000000000000000000000001", "b": "\\"00000000000000000000", "c": 18446744073709551617}',
            b"\xef\xbb\xbf{}",
        ),
        *(b"[" * 66 + b"]" * 66, b'{"a":' * 66 + b"1" + b"}" * 66, b"[" * 1_000_000),
    ],
)
def test_what_a_json_reader_could_choke_on(body: bytes) -> None:
    with pytest.raises(Unreadable):
        json_body.parse(body)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"18446744073709551616", 2**64),
        (b"1.5", 1.5),
        (b'"\\u0000\\ud83d\\ude00"', "\0😀"),
        (b"[true, null]", [True, None]),
    ],
)
def test_what_is_read(body: bytes, document: Any) -> None:
    assert json_body.parse(body) == document


NUMBERS = st.sampled_from([2**64, 2**64 + 1, -(2**65), 7, "7" * 30, '"' + "7" * 30, "x" + "7" * 30, '7"', None])


@given(st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.just("7" * 25), inner)))
def test_only_integers_can_be_too_long(document: Any) -> None:
    body = json.dumps(document).encode()
    if re.search(r"\b(18446744073709551617|36893488147419103232)\b", str(document)):
        with pytest.raises(Unreadable, match="more than 64 bits"):
            json_body.parse(body)
    else:
        assert json_body.parse(body) == document


@pytest.mark.parametrize("body", [b'["' + b"7" * 40 + b'"]', b"[" + b"[]," * 99 + b"[]]", b'["' + b"[" * 99 + b'"]'])
def test_many_digits_or_brackets_that_are_neither_an_integer_nor_deep(body: bytes) -> None:
    assert json_body.parse(body)


def test_as_deep_as_is_allowed() -> None:
    depth = json_body.MAX_DEPTH
    assert json_body.parse(b"[" * depth + b"]" * depth)
    with pytest.raises(Unreadable, match=f"nested deeper than {depth} levels"):
        json_body.parse(b"[" * (depth + 1) + b"]" * (depth + 1))


@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null"])
def test_an_object_is_asked_for(body: bytes) -> None:
    assert json_body.parse_object(b"{}") == {}
    with pytest.raises(Unreadable, match="not an object"):
        json_body.parse_object(body)


DOCUMENT: dict[str, Any] = {"a": {"b": "x"}, "n": 7, "f": 1.5, "t": True, "e": "", "l": [1], "z": None}


def test_looking_into_a_document() -> None:
    assert json_body.dig(DOCUMENT, "a", "b") == "x"
    assert json_body.dig(DOCUMENT, "a", "b", "c") is None
    assert json_body.dig(DOCUMENT) is DOCUMENT
    assert [json_body.text(DOCUMENT, key) for key in "anftelz"] == [None] * 7
    assert json_body.text(DOCUMENT, "a", "b") == "x"
    assert json_body.text(DOCUMENT, "a", "b", "c") is None
    assert [json_body.scalar(DOCUMENT, key) for key in "anftelz"] == [None, "7", None, None, None, None, None]
    assert json_body.first_text({"b": "y", "a": ""}, "a", "b", "c") == "y"
    assert json_body.first_text({}, "a") is None
    assert json_body.obj(DOCUMENT, "a") == {"b": "x"}
    assert json_body.obj(DOCUMENT, "l") == {}
    assert json_body.array(DOCUMENT, "l") == [1]
    assert json_body.array(DOCUMENT, "a") == []


def test_every_string_of_a_document() -> None:
    assert json_body.strings({"a": "x", "b": [1, "y", {"c": "", "d": None}], "e": "x"}) == ["x", "y", "", "x"]
    assert json_body.strings("x") == ["x"]
    assert json_body.strings(None) == []


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-24T12:00:00Z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24T12:00:00", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        (1795521600, datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("1795521600000", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("soon", None),
        ("", None),
        (None, None),
        (True, None),
        (-5, None),
        (10**15, None),
        ("1969-12-31T00:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
    ],
)
def test_times(value: Any, moment: datetime | None) -> None:
    assert json_body.moment({"at": value}, "at") == moment


@pytest.mark.parametrize(
    ("value", "is_one"), [("https://x", True), ("http://x", True), ("//x", False), ("HTTPS://x", False), (1, False)]
)
def test_what_looks_like_a_url(value: Any, is_one: bool) -> None:
    assert json_body.is_url(value) is is_one
