"""What strangers might send: requests made of whatever each provider's own samples and recorded webhooks are made of,
with anything in place of any part. Nothing is listed by hand: a new provider brings its words along."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from hypothesis import strategies as st

from service.providers.credentials import CAPABILITY_HEADER
from support.recorded import recorded
from support.senders import NOW, PATH, make, signed_sample

Draw = Callable[[st.SearchStrategy[Any]], Any]

# What makes a parser go further than noise would, whoever the sender.
WORDS = (
    *("", " ", "=", "t=1,v1=", "v1,", ",;:\n", "\x00", "\xff", "\u0661", "\ud800", "a" * 5000, "9" * 15, "-1", "1e9"),
    *("0" * 40, "f" * 64, "00ff", "1795521600", "1795521600000", "true", "null", "{}", "[" * 99, "application/json"),
    *("Basic ", "Basic dTpw", "Bearer x", "Bearer a.b.c", "e30.e30.e30", "https://example.com/a.jpg", "//a/b"),
    *("a%2Fb+c", "%ff%fe%", "2026-11-24T12:00:00Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00"),
    *("https://[", "http://a:b@c:99999/", "javascript:1", "../../etc", '{"Records":[]}', "<img src='//a/b.png'>"),
)
NO_DOCUMENTS = (
    *(b"", b"\x00", b"\xff\xfe", b"{" * 2000, b"[" * 100_000, b"9" * 5000, b"1e999", b'{"a":1,"a":2}'),
    *(b"\xef\xbb\xbf{}", b'"\\ud800"', b'{"\\u0000":"\\u0000"}', b"payload=%7B%7D", b"--a\r\n\r\n--a--\r\n"),
)
LONGEST = 300  # of a word that is harvested


@cache
def bodies(name: str) -> list[bytes]:
    """What a provider gets: its samples, bare and signed, and what was recorded of it."""
    samples = type(make(name)).samples(NOW)
    found = [sample.body for sample in samples.values()]
    found += [signed_sample(name, sample).body for sample in samples]
    found += [case["body"].encode() for case in recorded(name)]
    return list(dict.fromkeys(found))


@cache
def documents(name: str) -> list[Any]:
    return [document for body in bodies(name) if (document := _opened(body)) is not None]


def _opened(text: bytes | str) -> Any:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, (dict, list)) else None


@cache
def words(name: str) -> tuple[list[str], list[str]]:
    """Keys and short values that stand in a provider's documents, at any depth and in any wrapping."""
    keys: dict[str, None] = {}
    values: dict[str, None] = dict.fromkeys(WORDS)
    for document in documents(name):
        for key, value in _leaves(document):
            keys[key] = None
            if len(value) <= LONGEST:
                values[value] = None
    return list(keys) or ["a"], list(values)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, (dict, list)):
        for name, child in value.items() if isinstance(value, dict) else ((key, child) for child in value):
            yield from _leaves(child, name)
        return
    yield key, str(value)
    if isinstance(value, str) and (inside := _inside(value)) is not None:
        yield from _leaves(inside[0], key)


def _inside(value: str) -> tuple[Any, Callable[[Any], str]] | None:
    """The document that some senders wrap into a string, and how it is wrapped again."""
    if (document := _opened(value)) is not None:
        return document, json.dumps
    try:
        unwrapped = base64.b64decode(value, validate=True)
    except ValueError:
        return None
    if (document := _opened(unwrapped)) is not None:
        return document, lambda new: base64.b64encode(json.dumps(new).encode()).decode()
    return None


@cache
def header_values(name: str) -> dict[str, list[str]]:
    """Every header that a provider's senders send or that it looks at, with the values that were seen."""
    provider = make(name)
    seen: dict[str, dict[str, None]] = {header: {} for header in provider.info.stored_headers}
    sent = [signed_sample(name, sample).headers for sample in type(provider).samples(NOW)]
    sent += [tuple((key.lower(), value) for key, value in case["headers"].items()) for case in recorded(name)]
    for header, value in (pair for headers in sent for pair in headers):
        seen.setdefault(header, {})[value] = None
    for header in ("authorization", "x-relay-key", "content-encoding", CAPABILITY_HEADER):
        seen.setdefault(header, {})
    return {header: list(values) for header, values in seen.items()}


ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**63,
    "",
    "x",
    "\x00",
    "\ud800",
    "//[",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"a": None},
    {"": []},
)


def variations(document: Any) -> Iterator[Any]:
    """A document with each of its parts in turn gone or something odd."""
    yield from ODD
    if isinstance(document, dict):
        for key, child in document.items():
            yield {one: other for one, other in document.items() if one != key}
            yield from (document | {key: other} for other in variations(child))
    elif isinstance(document, list):
        for at, child in enumerate(document[:3]):
            yield from ([*document[:at], other, *document[at + 1 :]] for other in variations(child))
    elif isinstance(document, str) and (inside := _inside(document)) is not None:
        yield from map(inside[1], variations(inside[0]))


@cache
def text(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words(name)[1]) | st.text(st.characters(exclude_categories=()), max_size=40)


@cache
def _anything(name: str) -> st.SearchStrategy[Any]:
    keys, values = words(name)
    leaves = (
        st.sampled_from(values)
        | st.sampled_from(ODD)
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20)
    )
    return st.recursive(
        leaves,
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(st.sampled_from(keys) | st.text(max_size=8), children, max_size=5)
        ),
        max_leaves=8,
    )


@st.composite
def _twisted(draw: Draw, name: str) -> Any:
    """A provider's document with up to three of its parts gone, renamed, doubled or anything else."""
    document = draw(st.sampled_from(documents(name)))
    for _ in range(draw(st.integers(1, 3))):
        document = _twist(draw, document, name)
    return document


def _twist(draw: Draw, value: Any, name: str) -> Any:
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        match draw(st.sampled_from(("further", "further", "further", "gone", "renamed", "other"))):
            case "further":
                return value | {key: _twist(draw, value[key], name)}
            case "gone":
                return {one: child for one, child in value.items() if one != key}
            case "renamed":
                return value | {draw(st.sampled_from(words(name)[0])): value[key]}
    if isinstance(value, list) and value:
        at = draw(st.integers(0, len(value) - 1))
        match draw(st.sampled_from(("further", "further", "doubled", "other"))):
            case "further":
                return [*value[:at], _twist(draw, value[at], name), *value[at + 1 :]]
            case "doubled":
                return [*value, value[at]]
    if isinstance(value, str) and (inside := _inside(value)) is not None and draw(st.integers(0, 3)):
        document, wrapped = inside
        return wrapped(_twist(draw, document, name))
    return draw(_anything(name))


@st.composite
def _spliced(draw: Draw, name: str) -> bytes:
    """A provider's body with a piece replaced: for what is no JSON, or stops being it."""
    body: bytes = draw(st.sampled_from(bodies(name)))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 40)))
    return body[:start] + bytes(draw(st.binary(max_size=12))) + body[end:]


@cache
def any_body(name: str) -> st.SearchStrategy[bytes]:
    return (
        _twisted(name).map(encoded)
        | _anything(name).map(encoded)
        | _spliced(name)
        | st.sampled_from(NO_DOCUMENTS)
        | st.binary(max_size=60)
    )


def encoded(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


@cache
def any_headers(name: str) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Headers of the provider's, with its own values or anything else."""
    known = header_values(name)
    anything = text(name)

    # Made once: for each header of each example anew, that is half of the time.
    pairs = [
        st.tuples(st.just(header), st.sampled_from(known[header]) | anything if known[header] else anything)
        for header in sorted(known)
    ]
    return st.lists(st.one_of(pairs), max_size=10)


@cache
def any_path(name: str) -> st.SearchStrategy[str]:
    queries: Iterable[str] = (f"{PATH}?{key}=x" for key in ("code", *words(name)[0][:20]))
    return st.sampled_from([PATH, *queries, "", "?", "/%", "/hooks/é?%ff=%"]) | st.text(max_size=30)
