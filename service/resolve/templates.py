"""The address to GET: a template whose host is fixed, and whose values can change nothing but their own place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Template, TemplateError, Undefined
from msgspec import Struct

from service.domain.errors import RuleFailed
from service.domain.events import AssetEvent
from service.rules.analysis import examine_template, guarded
from service.rules.environment import RuleEnvironment
from service.rules.limits import shown
from service.rules.scope import Asset
from service.settings.addresses import is_loopback

MAX_URL = 4096
"""Characters of an address; what a sender wrote into it is a few ids."""

_ORIGIN = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(?=[/?]|$)")
_URL = re.compile(r"[!$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~%]+")


class UrlTemplate(Struct, frozen=True):
    """A compiled address. `origin` is its scheme, host and port, which no value can change."""

    origin: str
    template: Template

    def render(self, event: AssetEvent, *, payload: Any, headers: Mapping[str, str], source: str) -> str:
        """The address for an event; raises RuleFailed where a value is missing or cannot be a part of one."""
        scope = {"asset": Asset.of(event), "payload": payload, "headers": headers, "source": source}
        try:
            url = self.template.render(scope)
        except (TemplateError, RuleFailed) as error:
            raise RuleFailed(shown(f"resolve.url: {error}")) from None
        except Exception as error:
            raise RuleFailed(shown(f"resolve.url: {type(error).__name__}: {error}")) from None
        if problem := self._problem(url):
            raise RuleFailed(shown(f"resolve.url: {problem}"))
        return url

    def _problem(self, url: str) -> str | None:
        if len(url) > MAX_URL:
            return f"the address has more than {MAX_URL} characters"
        if not within(url, self.origin) or not _URL.fullmatch(url):
            return f"{url[:200]!r} is no address at {self.origin}"
        if any(segment in (".", "..") for segment in urlsplit(url).path.split("/")):
            return f"{url[:200]!r} leads to another place"
        return None


class _UrlEnvironment(RuleEnvironment):
    """The sandbox of rules, and every printed value is percent-encoded, slashes and all."""

    def __init__(self) -> None:
        super().__init__({})
        self.finalize = _encoded


def compile_url(text: str) -> UrlTemplate:
    """The compiled template; ValueError with what is wrong with it."""
    origin = origin_of(text)
    environment = _UrlEnvironment()
    findings = examine_template(environment, text)
    problems = list(findings.problems)
    if "url" in findings.names:
        problems.append("`url` is what is looked for: it is not known here")
    if findings.tables:
        problems.append("`lookup` reads tables for rules, not for this")
    if problems:
        raise ValueError("; ".join(problems))
    return UrlTemplate(origin, guarded(lambda: environment.from_string(text)))


def origin_of(text: str) -> str:
    """Scheme, host and port of an address that begins with them; ValueError otherwise."""
    found = _ORIGIN.match(text)
    if found is None:
        raise ValueError("must begin with https:// and a host that is spelled out: nothing may be inserted there")
    if found[1] == "http" and not is_loopback(found[2].strip("[]")):
        raise ValueError("must be https: the headers hold secrets (http is for localhost only)")
    if "#" in re.sub(r"\{[{%#].*?[}%#]\}", "", text):
        raise ValueError("may not have a fragment (#)")
    return found[0]


def within(url: str, origin: str) -> bool:
    """Whether an address is at this scheme, host and port."""
    return url.startswith((f"{origin}/", f"{origin}?")) or url == origin


def _encoded(value: Any) -> str:
    """A value as a part of an address: nothing in it separates anything."""
    if isinstance(value, Undefined):
        return str(value)  # raises UndefinedError, which names what is not defined
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise RuleFailed(f"a value is {'nothing (null)' if value is None else type(value).__name__}, not text")
    text = str(value)
    if not text:
        raise RuleFailed("a value is empty")
    if text in (".", ".."):
        raise RuleFailed(f"a value is {text!r}, which would lead to another place")
    return quote(text, safe="", errors="replace")
