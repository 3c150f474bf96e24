"""`image-relay assets import`: what was there before the relay."""

from __future__ import annotations

import json

import pytest
from support.commands import Relay

OLD, NEW = "https://img.example.com/products/lamp.jpg", "https://img.example.com/products/lamp-v2.jpg"
SIDE = "https://img.example.com/products/lamp-side.jpg"

CSV = f"id,url,environment\nlamp,{OLD},\nlamp,{SIDE},\nchair,https://img.example.com/products/chair.jpg,staging\n"
LINES = "\n".join(
    [json.dumps({"id": "lamp", "urls": [OLD, SIDE]}), "", json.dumps({"id": "chair", "url": NEW, "environment": "e"})]
)


@pytest.mark.parametrize("text", [CSV, f"\ufeff{CSV}", LINES, f"{LINES}\n"])
def test_what_a_file_tells_is_remembered(relay: Relay, text: str) -> None:
    (relay.folder / "assets").write_text(text, encoding="utf-8")
    assert relay.run("assets", "import", "hook", relay.folder / "assets").out == "2 assets, 2 of them new\n"
    assert relay.run("assets", "import", "hook", "-", stdin=text).out == "2 assets, 0 of them new\n"
    [entry] = relay.run("assets", "show", "hook", "lamp", "--json").json
    assert entry["urls"] == [OLD, SIDE]


def test_an_old_asset_s_first_event_purges_what_was_imported(relay: Relay) -> None:
    relay.run("assets", "import", "hook", "-", stdin=f"id,url\nlamp-v2.jpg,{OLD}\n")
    relay.take(relay.signed(NEW))
    listed = relay.run("purges", "list", "--json").json
    assert {OLD, NEW} <= {purge["src_image"] for purge in listed}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must begin with a line that names the columns id and url, or be JSON lines"),
        ("name,link\na,b\n", "must begin with a line that names the columns id and url, or be JSON lines"),
        ("id,url\nlamp,\n", "line 2: the id or the URL is missing"),
        ('id,url\nlamp,"x\n', "line 2: unexpected end of data"),
        ('{"id": "lamp"}', "line 1: the id or the URL is missing"),
        ('{"id": "lamp", "url": 1}', "line 1: Expected `str | null`, got `int` - at `$.url`"),
        ('{"id": "lamp", "link": "x"}', "line 1: Object contains unknown field `link`"),
        (b"id,url\nlamp,\xff\n", "is not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_told_where(relay: Relay, text: str | bytes, problem: str) -> None:
    assert problem in relay.fails("assets", "import", "hook", "-", stdin=text)


def test_an_unknown_source(relay: Relay) -> None:
    assert "did you mean 'hook'" in relay.fails("assets", "import", "hok", "-", stdin="id,url\n")


def test_many_take_several_transactions(relay: Relay) -> None:
    rows = "".join(f"a{number},https://img.example.com/{number}.jpg\n" for number in range(1000))
    assert relay.run("assets", "import", "hook", "-", stdin=f"id,url\n{rows}").out == "1000 assets, 1000 of them new\n"
