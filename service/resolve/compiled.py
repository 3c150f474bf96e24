"""A source's `resolve`, compiled and checked once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from msgspec import Struct

from service.domain.errors import ConfigInvalid, Problem
from service.domain.events import AssetEvent
from service.domain.memory import AssetMemory
from service.domain.secret import Secret
from service.resolve.answers import Search, compile_search, found_urls
from service.resolve.presets import PRESETS, Preset, with_newer_ref
from service.resolve.templates import UrlTemplate, compile_url, origin_of, within
from service.settings.model import Resolve
from service.settings.wording import did_you_mean

_CUSTOM = Preset(title="", doc_url="", path="", needs_token=False)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]*[\x21-\x7e]")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te", "upgrade"})

T = TypeVar("T")


class Resolver(Struct, frozen=True, kw_only=True):
    """Knows the one GET that finds an asset's URLs, and reads its answer."""

    url: UrlTemplate
    headers: Mapping[str, Secret]
    query: Mapping[str, Secret]
    search: Search | None
    prefixes: tuple[str, ...]
    trouble: Search | None
    has_refs: bool

    @property
    def host(self) -> str:
        """Where all its requests go."""
        return self.url.origin

    def wanted(self, event: AssetEvent, memory: AssetMemory | None) -> bool:
        """Whether its URLs have to be looked up: it brings none, and if the asset is gone, none is remembered."""
        if event.urls:
            return False
        return not event.kind.gone or memory is None or not memory.urls

    def own(self, url: str) -> bool:
        """Whether an address that was stored once is still one of this resolver's."""
        return within(url, self.url.origin)

    def with_secrets(self, url: str) -> str:
        """The address as it is sent: never stored, never shown."""
        for name, value in self.query.items():
            url += f"{'&' if '?' in url else '?'}{name}={quote(value.reveal(), safe='')}"
        return url

    def found(self, body: bytes) -> tuple[str, ...]:
        """The URLs in a 200's body; raises AnswerUnreadable."""
        return found_urls(body, self.search, self.prefixes, self.trouble)

    def instead(self, url: str, status: int | None, body: bytes) -> str | None:
        """The address to ask in place of this one, where the answer itself says which, else None."""
        return with_newer_ref(url, status, body) if self.has_refs else None


def compile_resolve(resolve: Resolve) -> Resolver:
    """The resolver; ConfigInvalid with all problems, their paths below the source."""
    return _Compiler(resolve).compile()


class _Compiler:
    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._preset = _CUSTOM if resolve.preset is None else PRESETS[resolve.preset]
        self._problems: list[Problem] = []

    def compile(self) -> Resolver:
        resolve, preset = self._resolve, self._preset
        self._check_choice()
        place = "url" if resolve.endpoint is None else "endpoint"
        url = self._tried(place, lambda: compile_url(self._address())) if not self._problems else None
        text = resolve.urls if resolve.urls is not None else preset.urls
        search = None if text is None else self._tried("urls", lambda: compile_search(text))
        headers = self._headers()
        if self._problems or url is None:
            raise ConfigInvalid(self._problems)
        token = resolve.token
        return Resolver(
            url=url,
            headers=headers,
            query={} if token is None or preset.auth_query is None else {preset.auth_query: token},
            search=search,
            prefixes=preset.prefixes,
            trouble=None if preset.trouble is None else compile_search(preset.trouble),
            has_refs=preset.has_refs,
        )

    def _check_choice(self) -> None:
        """A preset with what it takes, or an address; nothing that would do nothing."""
        resolve, preset = self._resolve, self._preset
        if resolve.preset is None:
            if resolve.url is None:
                self._problem("", "give a `preset` or a `url`")
            for key in ("region", "endpoint", "token"):
                if getattr(resolve, key) is not None:
                    self._problem(key, "goes with a `preset` alone: a `url` says it all, and secrets go into `headers`")
            return
        if resolve.url is not None:
            self._problem("url", f"the preset {resolve.preset} has its own: give one of the two")
        if resolve.endpoint is None and not preset.origins:
            self._problem("endpoint", f"is missing: the preset {resolve.preset} asks at an address of your own")
        elif resolve.endpoint is not None and preset.origins:
            self._problem("endpoint", f"the preset {resolve.preset} knows where to ask")
        if resolve.region is not None and resolve.region not in (known := [one for one in preset.origins if one]):
            among = f"{did_you_mean(resolve.region, known)} (known: {', '.join(known)})" if known else ""
            self._problem("region", f"the preset {resolve.preset} has no region {resolve.region!r}{among}")
        if preset.needs_token and resolve.token is None and not self._has_header(preset.auth_header):
            self._problem("token", f"is missing: {preset.title} answers nobody without one")

    def _address(self) -> str:
        resolve, preset = self._resolve, self._preset
        if resolve.preset is None:
            return resolve.url or ""
        if resolve.endpoint is not None:
            endpoint = resolve.endpoint.rstrip("/")
            origin_of(endpoint)
            if any(mark in endpoint for mark in "{}?#"):
                raise ValueError("is a plain address, without query and without braces")
            return endpoint + preset.path
        region = resolve.region or next(iter(preset.origins))
        return preset.origins[region] + preset.path

    def _has_header(self, name: str) -> bool:
        return any(given.lower() == name.lower() for given in self._resolve.headers)

    def _headers(self) -> Mapping[str, Secret]:
        """What goes along, by lower-case name: ours, then the preset's, then the file's."""
        resolve, preset = self._resolve, self._preset
        headers = {"accept": Secret("application/json")}
        headers.update({name.lower(): Secret(value) for name, value in preset.headers.items()})
        if resolve.token is not None and preset.auth_query is None:
            headers[preset.auth_header.lower()] = Secret(preset.auth_prefix + resolve.token.reveal())
            self._check_value("token", resolve.token)
        for name, value in resolve.headers.items():
            place = f"headers.{name}" if _HEADER.fullmatch(name) else "headers"
            if place == "headers":
                self._problem(place, f"{name[:80]!r} is no name of a header")
            elif name.lower() in _OURS:
                self._problem(place, "is set by the relay itself")
            self._check_value(place, value)
            headers[name.lower()] = value
        return headers

    def _check_value(self, place: str, value: Secret) -> None:
        if not _VALUE.fullmatch(value.reveal()):
            self._problem(place, "holds a line end or a character that is not ASCII, or ends in a space")

    def _tried(self, key: str, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except ValueError as error:
            self._problem(key if getattr(self._resolve, key, None) is not None else "", str(error))
            return None

    def _problem(self, key: str, message: str) -> None:
        self._problems.append(Problem(f"resolve.{key}" if key else "resolve", message))


def shown_request(resolver: Resolver, url: str) -> dict[str, Any]:
    """The request as it may be shown: header and query names, never their values."""
    return {"method": "GET", "url": url, "headers": sorted(resolver.headers), "secret_query": sorted(resolver.query)}
