from __future__ import annotations

import pytest
from support.rules import files

from service.rules.tables import load_table


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (
            "t.csv",
            b"id,url\na,https://x/1\na,https://x/2\nb,https://x/3\n",
            {"a": "https://x/1\nhttps://x/2", "b": "https://x/3"},
        ),
        ("t.csv", b"\xef\xbb\xbfid, note, url\r\na, n, https://x/1\r\n\r\n", {"a": "https://x/1"}),
        ("t.csv", b'id,url\n"a,b","https://x/?a,b"\n', {"a,b": "https://x/?a,b"}),
        ("t.csv", b"id,url\n", {}),
        ("t.json", b'{"a": "u", "b": ["v", "w"], "c": []}', {"a": "u", "b": "v\nw", "c": ""}),
        ("t.json", b"\xef\xbb\xbf{}", {}),
    ],
)
def test_a_table_holds(path: str, content: bytes, expected: dict[str, str]) -> None:
    assert load_table(path, files(t_csv=content, t_json=content)) == expected


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("/etc/t.csv", b"", "relative path inside the folder"),
        ("../t.csv", b"", "relative path inside the folder"),
        ("a/../../t.csv", b"", "relative path inside the folder"),
        ("a\\t.csv", b"", "relative path inside the folder"),
        ("C:t.csv", b"", "relative path inside the folder"),
        ("t\0.csv", b"", "relative path inside the folder"),
        ("t.yaml", b"", "must end in .csv or .json"),
        ("gone.csv", b"", "gone.csv cannot be read: No such file or directory"),
        ("t.csv", b"\xff", "t.csv is not UTF-8 (byte 0)"),
        ("t.csv", b"", "the columns id and url"),
        ("t.csv", b"key,url\n", "the columns id and url"),
        ("t.csv", b"id,url\na\n", "t.csv line 2: the id or the URL is missing"),
        ("t.csv", b"id,url\n,u\n", "t.csv line 2: the id or the URL is missing"),
        ("t.csv", b'id,url\na,"u"x\n', "t.csv line 2: "),
        ("t.csv", b"id,url\na," + b"u" * 200_000, "t.csv line 2: field larger"),
        ("t.json", b"{", "t.json must be a JSON object"),
        ("t.json", b'{"a": 5}', "t.json must be a JSON object"),
        ("t.json", b'{"a": ' + b"[" * 100_000, "t.json must be a JSON object"),
    ],
)
def test_a_bad_table_says_why(path: str, content: bytes, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        load_table(path, files(t_csv=content, t_json=content, t_yaml=content))
    assert message in str(raised.value)


def test_an_error_without_a_system_message_is_told_as_it_is() -> None:
    def read(path: str) -> bytes:
        raise PermissionError(f"no access to {path}")

    with pytest.raises(ValueError, match="cannot be read: no access to t"):
        load_table("t.csv", read)
