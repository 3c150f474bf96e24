"""Other spellings of an asset's URL that a rule is for too: `variants: [without-query, port-443]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from urllib.parse import urlsplit

from service.domain.variants import Variant
from service.rules.filters import site_path, without_query

MAX_SPELLINGS = 64
"""How many spellings of one URL are made at most: each is an image to purge."""

Spell = Callable[[str], Iterable[str]]


def _with_port(url: str) -> Iterator[str]:
    """Kontent.ai's delivery API, for one, spells the port that https has anyway."""
    scheme, mark, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme != "https" or not mark or not host:
        return
    if host.endswith(":443"):
        yield f"https://{host.removesuffix(':443')}{slash}{path}"
    elif _has_no_port(host):
        yield f"https://{host}:443{slash}{path}"


def _has_no_port(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").port is None and not host.endswith(":")
    except ValueError:
        return False


def _protocol_relative(url: str) -> Iterator[str]:
    if url.startswith(("https://", "http://")):
        yield url[url.index("//") :]


GENERIC: Mapping[str, Variant] = {
    "without-query": Variant("without its query", lambda url: [without_query(url)]),
    "site-path": Variant("as the site's own path, without scheme and host", lambda url: [site_path(url)]),
    "port-443": Variant("with `:443` after the host, or without where it is there", _with_port),
    "protocol-relative": Variant("from `//` on, without its scheme", _protocol_relative),
}
"""What every provider's URLs can be spelled as."""


def spelled(urls: Iterable[str], spells: Sequence[Spell]) -> Iterator[str]:
    """Every URL, then its other spellings: each variant is applied to what those before it made, too."""
    for url in urls:
        found = [url]
        for spell in spells:
            found += [other for one in found for other in spell(one) if other]
        yield from islice(dict.fromkeys(found), MAX_SPELLINGS)
