"""The URLs a payload gives, at the host the site loads images from."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from service.providers import json_body
from service.providers.base import SourceProblem
from service.providers.s3_records import bases_of
from service.settings.model import Source

SITE = "site"
"""The one name in `bases` of senders that have no buckets: where their relative URLs belong."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")


def delivery_host(source: Source) -> str | None:
    """The source's `cdn_host`; SourceProblem where it is no host name."""
    host = source.cdn_host
    if host is not None and not _HOST.fullmatch(host):
        raise SourceProblem("cdn_host", f"{host!r} cannot be part of an image's URL")
    return host


def delivery_urls(value: Any, *keys: str, host: str | None = None) -> tuple[str, ...]:
    """The absolute URLs below these keys of an object, each once, and at `host` where the sender's is another."""
    found = (json_body.text(value, key) for key in keys)
    return tuple(dict.fromkeys(at_host(url, host) for url in found if url and json_body.is_url(url)))


def at_host(url: str, host: str | None) -> str:
    """The URL at `host`; unchanged where there is no other host, or where it cannot be taken apart."""
    if host is None:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return urlunsplit(parts._replace(netloc=host))


def absolute(url: str, base: str | None) -> str:
    """A relative URL behind the sender's own; without a base it stays as it is, for rules, or for a site that serves
    the sender's files under its own host."""
    if url.startswith("//"):
        return f"https:{url}"
    if base is None or not url.startswith("/"):
        return url
    return base.removesuffix("/") + url


def site_base(source: Source) -> str | None:
    """The base URL of a source's relative URLs; SourceProblem where `bases` names anything else."""
    bases = bases_of(source)
    if unknown := bases.keys() - {SITE}:
        raise SourceProblem("bases", f"{source.provider} has no {min(unknown)!r}: the one base is `{SITE}`")
    return bases.get(SITE)
