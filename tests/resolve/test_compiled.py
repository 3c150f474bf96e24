"""`resolve` in relay.yaml: the presets, what goes along, and everything that can be wrong with it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from service.domain.errors import ConfigInvalid
from service.domain.events import AssetEvent, AssetKind
from service.domain.memory import AssetMemory
from service.domain.secret import Secret
from service.resolve.answers import AnswerUnreadable
from service.resolve.compiled import Resolver, compile_resolve, shown_request
from service.resolve.presets import PRESETS
from service.settings.model import Resolve

TOKEN = Secret("fake-token&0123456789")
PAYLOAD = {"space_id": 606, "masterRef": "ZzRef~1", "sys": {"space": {"sys": {"id": "sp1"}}}}
HYGRAPH = "https://eu-west-2.cdn.hygraph.com/content/abc/master"


def resolver(**settings: Any) -> Resolver:
    return compile_resolve(Resolve(**settings))


def asked(one: Resolver, asset_id: str = "a1") -> str:
    event = AssetEvent(kind=AssetKind.UPDATED, id=asset_id, environment="main")
    return one.url.render(event, payload=PAYLOAD, headers={}, source="cms")


@pytest.mark.parametrize(
    ("settings", "url", "authorization"),
    [
        (
            {"preset": "contentful", "token": TOKEN},
            "https://cdn.contentful.com/spaces/sp1/environments/main/assets/a1?locale=*",
            "Bearer fake-token&0123456789",
        ),
        (
            {"preset": "contentful-management", "token": TOKEN, "region": "eu"},
            "https://api.eu.contentful.com/spaces/sp1/environments/main/assets/a1",
            "Bearer fake-token&0123456789",
        ),
        (
            {"preset": "datocms", "headers": {"authorization": TOKEN}},
            "https://site-api.datocms.com/uploads/a1",
            "fake-token&0123456789",
        ),
        (
            {"preset": "kontent-ai", "token": TOKEN},
            "https://manage.kontent.ai/v2/projects/main/assets/a1",
            "Bearer fake-token&0123456789",
        ),
        (
            {"preset": "storyblok", "token": TOKEN},
            "https://mapi.storyblok.com/v1/spaces/606/assets/a1",
            "fake-token&0123456789",
        ),
        (
            {"preset": "storyblok", "token": TOKEN, "region": "us"},
            "https://api-us.storyblok.com/v1/spaces/606/assets/a1",
            "fake-token&0123456789",
        ),
        ({"url": "https://api.example/{{ asset.id }}"}, "https://api.example/a1", None),
    ],
)
def test_what_is_asked(settings: dict[str, Any], url: str, authorization: str | None) -> None:
    one = resolver(**settings)
    assert asked(one) == one.with_secrets(url) == url
    assert url.startswith(one.host)
    assert one.own(url)
    assert not one.own("https://elsewhere.example/a1")
    sent = {name: value.reveal() for name, value in one.headers.items()}
    assert sent.pop("authorization", None) == authorization
    assert sent.pop("accept") == "application/json"
    assert sent == ({"x-api-version": "3"} if settings.get("preset") == "datocms" else {})


def test_hygraph_is_asked_in_graphql() -> None:
    one = resolver(preset="hygraph", endpoint=HYGRAPH)
    url = urlsplit(asked(one, 'x"}){y'))
    query = parse_qs(url.query)
    assert f"{url.scheme}://{url.netloc}{url.path}" == HYGRAPH
    assert query["query"] == ["query($id:ID!){asset(where:{id:$id}){url localizations{url}}}"]
    assert json.loads(query["variables"][0]) == {"id": 'x"}){y'}


def test_prismic_is_asked_for_a_document_of_the_version_that_was_published() -> None:
    one = resolver(preset="prismic", endpoint="https://acme.cdn.prismic.io/", token=TOKEN)
    url = asked(one, 'x")]]')
    assert url.startswith("https://acme.cdn.prismic.io/api/v2/documents/search?ref=ZzRef~1&q=")
    assert parse_qs(urlsplit(url).query)["q"] == [r'[[at(document.id,"x\")]]")]]']
    assert TOKEN.reveal() not in url
    assert one.with_secrets(url) == f"{url}&access_token=fake-token%260123456789"
    assert "authorization" not in one.headers
    assert one.instead(url, 410, b'{"message":"The ref has expired. Master ref is: ZzRef~2"}') == url.replace(
        "~1", "~2"
    )
    assert one.instead(url, 410, b'{"message":"The ref has expired. Master ref is: ZzRef~1"}') is None
    assert one.instead(url, 200, b"Master ref is: ZzRef~2") is None
    assert one.instead(url, 404, b"no such thing") is None
    assert resolver(url="https://api.example/?ref=1").instead("x?ref=1", 410, b"Master ref is: 2") is None


def test_a_query_with_secrets_begins_where_there_is_none() -> None:
    one = resolver(preset="prismic", endpoint="https://acme.cdn.prismic.io", token=Secret("t"))
    assert one.with_secrets("https://acme.cdn.prismic.io/x") == "https://acme.cdn.prismic.io/x?access_token=t"


PICTURE = "https://images.example/a.jpg"


@pytest.mark.parametrize(
    ("settings", "answer", "urls"),
    [
        (
            {"preset": "contentful", "token": TOKEN},
            {"fields": {"file": {"en": {"url": "//images.example/a.jpg"}, "de": {"url": "//images.example/b.jpg"}}}},
            (PICTURE, "https://images.example/b.jpg"),
        ),
        ({"preset": "contentful", "token": TOKEN}, {"fields": {"file": {"url": PICTURE, "details": {}}}}, (PICTURE,)),
        (
            {"preset": "contentful-management", "token": TOKEN},
            {"fields": {"file": {"en": {"url": PICTURE}}}},
            (PICTURE,),
        ),
        ({"preset": "datocms", "token": TOKEN}, {"data": {"attributes": {"url": PICTURE}}}, (PICTURE,)),
        ({"preset": "kontent-ai", "token": TOKEN}, {"id": "a1", "url": PICTURE}, (PICTURE,)),
        ({"preset": "storyblok", "token": TOKEN}, {"id": 1, "filename": PICTURE}, (PICTURE,)),
        ({"preset": "storyblok", "token": TOKEN}, {"asset": {"filename": PICTURE}}, (PICTURE,)),
        (
            {"preset": "hygraph", "endpoint": HYGRAPH},
            {"data": {"asset": {"url": "https://media.example/x", "localizations": [{"url": PICTURE}]}}},
            ("https://media.example/x", PICTURE),
        ),
        (
            {"preset": "prismic", "endpoint": "https://acme.cdn.prismic.io"},
            {
                "results": [
                    {"data": {"hero": {"url": "https://images.prismic.io/acme/x?auto=format"}}, "href": "https://x/y"}
                ]
            },
            ("https://images.prismic.io/acme/x?auto=format",),
        ),
        ({"url": "https://api.example/"}, {"a": [PICTURE, "https://x.example/page"], "b": PICTURE}, (PICTURE,)),
        ({"url": "https://api.example/", "urls": "a[].b"}, {"a": [{"b": PICTURE}, {"b": 1}, {"c": 2}]}, (PICTURE,)),
        ({"url": "https://api.example/", "urls": "a"}, {"a": "relative.jpg"}, ()),
        ({"preset": "hygraph", "endpoint": HYGRAPH}, {"data": {"asset": None}}, ()),
    ],
)
def test_what_an_answer_says(settings: dict[str, Any], answer: Any, urls: tuple[str, ...]) -> None:
    assert resolver(**settings).found(json.dumps(answer).encode()) == urls


@pytest.mark.parametrize(
    ("settings", "body", "problem"),
    [
        ({}, b"<html>", "the answer is not JSON"),
        ({}, b"[" * 100_000, "the answer"),
        ({"urls": "sort(a)"}, b'{"a": null}', "JMESPath fails"),
        ({"preset": "hygraph", "endpoint": HYGRAPH}, b'{"errors":[{"message":"not allowed"}]}', "not allowed"),
    ],
)
def test_what_is_no_answer(settings: dict[str, Any], body: bytes, problem: str) -> None:
    one = resolver(**settings if "preset" in settings else {"url": "https://api.example/", **settings})
    with pytest.raises(AnswerUnreadable, match=problem):
        one.found(body)


@pytest.mark.parametrize(
    ("settings", "problems"),
    [
        ({}, ["resolve: give a `preset` or a `url`"]),
        ({"url": "https://x.example/{{ assets.id }}"}, ["resolve.url: unknown name 'assets', did you mean 'asset'?"]),
        ({"url": "https://x.example/", "urls": "a["}, ["resolve.urls: is no JMESPath: "]),
        (
            {"url": "https://x.example/", "token": TOKEN, "region": "eu"},
            ["resolve.region: goes", "resolve.token: goes"],
        ),
        ({"preset": "storyblok"}, ["resolve.token: is missing"]),
        (
            {"preset": "storyblok", "token": TOKEN, "region": "uss"},
            ["resolve.region: the preset storyblok has no region 'uss', did"],
        ),
        (
            {"preset": "datocms", "token": TOKEN, "region": "eu"},
            ["resolve.region: the preset datocms has no region 'eu'"],
        ),
        ({"preset": "prismic"}, ["resolve.endpoint: is missing"]),
        ({"preset": "prismic", "endpoint": "https://x.example/?a"}, ["resolve.endpoint: is a plain address"]),
        ({"preset": "prismic", "endpoint": "http://x.example"}, ["resolve.endpoint: must be https"]),
        (
            {"preset": "datocms", "token": TOKEN, "endpoint": "https://x.example"},
            ["resolve.endpoint: the preset datocms knows"],
        ),
        (
            {"preset": "datocms", "token": TOKEN, "url": "https://x.example"},
            ["resolve.url: the preset datocms has its own"],
        ),
        ({"preset": "datocms", "token": Secret("a\nb")}, ["resolve.token: holds a line end"]),
        (
            {"url": "https://x.example/", "headers": {"Host": TOKEN, "a b": TOKEN, "X-A": Secret("é")}},
            ["resolve.headers.Host: is set by the relay", "resolve.headers: 'a b'", "resolve.headers.X-A: holds"],
        ),
    ],
)
def test_what_is_wrong(settings: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ConfigInvalid) as invalid:
        resolver(**settings)
    for told, expected in zip(invalid.value.lines(), problems, strict=True):
        assert told.startswith(expected), told


@pytest.mark.parametrize(
    ("kind", "urls", "memory", "wanted"),
    [
        (AssetKind.REPLACED, (), None, True),
        (AssetKind.REPLACED, (), AssetMemory(urls=("x",)), True),
        (AssetKind.REPLACED, ("https://x/y.jpg",), None, False),
        (AssetKind.CREATED, (), None, True),
        (AssetKind.DELETED, (), None, True),
        (AssetKind.DELETED, (), AssetMemory(earlier_urls=("x",)), True),
        (AssetKind.DELETED, (), AssetMemory(urls=("x",)), False),
    ],
)
def test_when_it_is_wanted(kind: AssetKind, urls: tuple[str, ...], memory: AssetMemory | None, wanted: bool) -> None:
    event = AssetEvent(kind=kind, id="a1", urls=urls)
    assert resolver(url="https://api.example/").wanted(event, memory) is wanted


def test_a_request_is_shown_without_secrets() -> None:
    one = resolver(preset="prismic", endpoint="https://acme.cdn.prismic.io", token=TOKEN, headers={"X-Key": TOKEN})
    shown = shown_request(one, "https://acme.cdn.prismic.io/x")
    assert shown["headers"] == ["accept", "x-key"]
    assert shown["secret_query"] == ["access_token"]
    assert TOKEN.reveal() not in f"{shown}{one!r}"


def test_every_preset_of_the_settings_is_one() -> None:
    from service.settings.schema import json_schema

    listed = json.dumps(json_schema()["$defs"]["Resolve"]["properties"]["preset"])
    assert all(f'"{name}"' in listed for name in PRESETS)
    assert all(preset.doc_url.startswith("https://") for preset in PRESETS.values())
