"""XML of one level: what is read of it, and everything that is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import Unreadable
from service.providers.flat_xml import MAX_FIELDS, flat_fields

ENTITY = '<!DOCTYPE a [<!ENTITY x "y">]><a><b>&x;</b></a>'
EXTERNAL = '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a><b>1</b></a>'


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("<a/>", {}),
        ("<a><b>1</b><c></c></a>", {"b": "1", "c": ""}),
        ('<?xml version="1.0" encoding="utf-8"?>\n<a xmlns="urn:x">\n <b>ü &lt;&#65;<![CDATA[<i>]]></b>\n</a>', None),
        ('<?xml version="1.0" encoding="utf-7"?><a><b>+AGE-</b></a>', {"b": "+AGE-"}),
    ],
)
def test_fields(body: str, fields: dict[str, str] | None) -> None:
    assert flat_fields(body.encode(), "a") == ({"b": "ü <A<i>"} if fields is None else fields)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not XML"),
        ("<a>", "not XML"),
        ("<a></b>", "not XML"),
        ("<a/><a/>", "not XML"),
        ("<a>&x;</a>", "not XML"),
        (ENTITY, "document type"),
        (EXTERNAL, "document type"),
        ("<b/>", "not a a"),
        ("<a><b><c/></b></a>", "not a a"),
        ("<a><b/><b/></a>", "twice"),
        ("<a>" + "".join(f"<f{number}/>" for number in range(MAX_FIELDS + 1)) + "</a>", "too many"),
        ("<a>" * 100_000, "not a a"),
    ],
)
def test_what_is_unreadable(body: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        flat_fields(body.encode(), "a")


@given(st.binary() | st.text("<>/ab&;![]C'\" \n?x").map(str.encode))
def test_nothing_else_is_raised(body: bytes) -> None:
    try:
        flat_fields(body, "a")
    except Unreadable:
        return
    assert b"<a" in body
