"""What is said of a provider, and the page of them all, `README.md` beside this file: made from the code, so that it
says what the code does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from textwrap import indent

from service.providers.base import Info, Provider
from service.providers.registry import PROVIDERS, provider_class

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)  # samples are asked for their names alone

_INTRODUCTION = """\
# Providers

Made by `make docs` from the code: for each sender what to click, what its signature covers, how it delivers, what
relay.yaml may say of it and what is kept of its requests. NAME in an address is the source's name in relay.yaml.
`image-relay providers PROVIDER` shows the same, `image-relay send --source NAME --event EVENT` sends a sample, signed
as the sender signs it. What is said to be unknown is not documented by the vendor.

[ADDING.md](ADDING.md) says how another provider is added.
"""


def page() -> str:
    """The whole page, in Markdown."""
    classes = [provider_class(name) for name in sorted(PROVIDERS)]
    return "\n".join([_INTRODUCTION, *_overview(classes), *(line for one in classes for line in _section(one))])


def parts(one: type[Provider]) -> Iterator[tuple[str, str]]:
    """All there is to know of a provider beside the steps of its set-up: names, and texts in Markdown."""
    info = one.info
    yield "events", info.guide.events
    yield "covered", info.guide.covered
    yield "delivery", info.guide.retries
    yield "image URLs", info.guide.urls
    if one.variants:
        spellings = (f"`{name}`, {variant.title}" for name, variant in one.variants.items())
        yield "variants", f"spellings that a rule may switch on: {'; '.join(spellings)}"
    if (handshakes := _handshakes(one)) is not None:
        yield "handshakes", handshakes
    yield "answers", _answers(info)
    yield "secrets", f"{'needed' if info.needs_secret else 'not needed'}; any one of several verifies"
    yield "time", _time(info)
    yield "auth", _auth(info)
    if info.options:
        yield "settings of its own", _listed(info.options)
    yield "headers kept", _listed(sorted(info.stored_headers)) or "none"
    yield "samples", _listed(one.samples(_WHEN))


def _handshakes(one: type[Provider]) -> str | None:
    if one.greeting is Provider.greeting:
        return None
    methods = _listed([*one.info.handshake_methods, "POST"])
    return f"looked for in requests by {methods}; they are answered, and nothing of them is stored"


def _answers(info: Info) -> str:
    return f"{info.success_status} once it is stored, {info.unreadable_status} to a genuine body that cannot be read"


def _time(info: Info) -> str:
    if info.tolerance is None:
        return "not signed; a repeated delivery is known by its id, or by its body"
    return f"signed, and may be {info.tolerance:g} s off either way (`tolerance`)"


def _auth(info: Info) -> str:
    if not info.auth:
        return "its own signature alone"
    beside = "besides its signature, which is judged too" if info.signs_beside_auth else "in place of a signature"
    return f"{_listed(info.auth)} ({beside})"


def _overview(classes: Iterable[type[Provider]]) -> Iterator[str]:
    yield "| provider | sender | verified by |"
    yield "| --- | --- | --- |"
    for one in classes:
        yield f"| [`{one.info.name}`](#{one.info.name}) | {one.info.title} | {one.info.signs} |"
    yield ""


def _section(one: type[Provider]) -> Iterator[str]:
    info = one.info
    yield f"## {info.name}\n"
    yield f"{info.title}: {info.signs}. Its own documentation: <{info.doc_url}>\n"
    yield from (_step(f"{number}. ", step) for number, step in enumerate(info.guide.setup, 1))
    yield ""
    yield from (f"- **{name[0].upper()}{name[1:]}**: {text}" for name, text in parts(one))
    yield ""


def _step(number: str, step: str) -> str:
    """An item of a list, with all of its lines within it."""
    return number + indent(step, " " * len(number)).lstrip()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
