"""Forms are read strictly: one spelling of a body, and no field twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.providers.multipart_form import MAX_FIELDS, form_body, form_fields


def part(name: str, value: str = "1", more: str = "") -> str:
    return f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n{more}\r\n{value}\r\n'


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=60), min_size=1, max_size=4))
def test_what_is_written_is_read(fields: dict[str, bytes]) -> None:
    body, content_type = form_body(fields)
    assert form_fields(body) == fields
    assert body.startswith(b"--" + content_type.partition("boundary=")[2].encode())


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (part("a") + part("b", "2") + "--B--\r\n", {"a": b"1", "b": b"2"}),
        (part("a") + "--B--", {"a": b"1"}),
        (part("a", "") + "--B--", {"a": b""}),
        (part("a", "\r\n\r\n--C\r\n") + "--B--", {"a": b"\r\n\r\n--C\r\n"}),
        (part("a", more="Content-Type: text/plain\r\n") + "--B--", {"a": b"1"}),
        (part("a").replace("Content-D", "content-d") + "--B--", {"a": b"1"}),
    ],
)
def test_forms(body: str, fields: dict[str, bytes]) -> None:
    assert form_fields(body.encode()) == fields


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "does not begin with a boundary"),
        ("{}", "does not begin with a boundary"),
        ("preamble\r\n" + part("a") + "--B--", "does not begin with a boundary"),
        ("--" + "B" * 71 + "\r\n", "does not begin with a boundary"),
        (part("a"), "does not end with its boundary"),
        (part("a") + "--B--\r", "does not end with its boundary"),
        (part("a") + "--B--\r\nmore", "does not end with its boundary"),
        (part("a") + part("a", "2") + "--B--", "the field a came twice"),
        (part("a", more=part("b")[5:]) + "--B--", "no form's field"),
        ("--B\r\n\r\n1\r\n--B--", "no form's field"),
        ('--B\r\nContent-Disposition: form-data; name="a"\r\n--B--', "no form's field"),
        ('--B\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--B--', "no form's field"),
        (part("a") + "--BX\r\n\r\n\r\n--B--", "no form's field"),
        ("".join(part(str(number)) for number in range(MAX_FIELDS + 1)) + "--B--", "more than 32 fields"),
    ],
)
def test_what_is_no_form(body: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        form_fields(body.encode())
