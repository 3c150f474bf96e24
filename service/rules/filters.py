"""The relay's own template filters. Each takes text first; misuse raises RuleFailed, which names the filter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import quote

from jinja2 import Undefined

from service.domain.cloudinary_urls import with_version, without_version
from service.domain.errors import RuleFailed
from service.rules.tables import Table

MAX_PATTERN = 500  # characters of a regular expression

_ORIGIN = re.compile(r"((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)[^/?#]*")
_HOST = re.compile(r"[^\s/?#@\\]+")
_ENCODE_URI_KEEPS = ";,/?:@&=+$-_.!~*'()#"  # https://tc39.es/ecma262/#sec-encodeuri-uri


def without_query(url: object) -> str:
    """The URL up to its query; a fragment goes too, it never reaches the image optimizer."""
    return _without_fragment(_text(url, "without_query")).partition("?")[0]


def with_query(url: object, query: str) -> str:
    """The URL with exactly this query in place of its own, without fragment."""
    wanted = _text(query, "with_query").removeprefix("?")
    bare = _without_fragment(_text(url, "with_query")).partition("?")[0]
    return f"{bare}?{wanted}" if wanted else bare


def site_path(url: object) -> str:
    """Path and query of an absolute or protocol-relative URL, without fragment; a path stays as it is."""
    text = _without_fragment(_text(url, "site_path"))
    origin = _ORIGIN.match(text)
    if origin is None:
        return text
    rest = text[origin.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def on_host(url: object, host: str) -> str:
    """The URL with another host (and port): scheme, path and query stay, user name and fragment go."""
    text = _without_fragment(_text(url, "on_host"))
    if not _HOST.fullmatch(_text(host, "on_host")):
        raise RuleFailed(f"on_host takes a host such as img.example.com, not {host!r}")
    origin = _ORIGIN.match(text)
    if origin is None:
        raise RuleFailed(f"on_host takes an absolute URL, not {text!r}")
    return f"{origin[1]}{host}{text[origin.end() :]}"


def regex_replace(text: object, pattern: str, replacement: str) -> str:
    """`text` with every match of a Python regular expression replaced."""
    return compiled_regex(_text(pattern, "regex_replace")).sub(
        _text(replacement, "regex_replace"), _text(text, "regex_replace")
    )


@lru_cache(maxsize=256)
def compiled_regex(pattern: str) -> re.Pattern[str]:
    """The compiled pattern; RuleFailed when it is no regular expression or longer than 500 characters."""
    if len(pattern) > MAX_PATTERN:
        raise RuleFailed(f"the regular expression has {len(pattern)} characters, {MAX_PATTERN} are allowed")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise RuleFailed(f"{pattern!r} is no regular expression: {error}") from error


def path_encode(key: object) -> str:
    """A bucket's key percent-encoded for a URL's path: all but letters, digits and `/-._~`."""
    return quote(_text(key, "path_encode"), safe="/")


def encode_uri(key: object) -> str:
    """A bucket's key as JavaScript's encodeURI writes it, which is what many sites put into `src`."""
    return quote(_text(key, "encode_uri"), safe=_ENCODE_URI_KEEPS)


def cloudinary_variants(url: object) -> str:
    """The URL as it is, without its version and with `v1`, one a line: as Cloudinary's SDKs write it."""
    text = _text(url, "cloudinary_variants")
    return "\n".join(dict.fromkeys((text, without_version(text), with_version(text, 1))))


def lookup_in(tables: Mapping[str, Table]) -> Callable[[object, str], str]:
    """The `lookup` filter over loaded tables."""

    def lookup(key: object, table: str) -> str:
        """The URLs of an id, one a line; nothing for an unknown id. A number is looked up as it is written."""
        plain = str(key) if isinstance(key, int) and not isinstance(key, bool) else _text(key, "lookup")
        return tables[table].get(plain, "")

    return lookup


FILTERS: Mapping[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        without_query,
        with_query,
        site_path,
        on_host,
        regex_replace,
        path_encode,
        encode_uri,
        cloudinary_variants,
    )
}


def _without_fragment(url: str) -> str:
    return url.partition("#")[0]


def _text(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        return str(value)  # raises UndefinedError, which names what is not defined
    raise RuleFailed(f"{name} takes text, not {'nothing (null)' if value is None else type(value).__name__}")
