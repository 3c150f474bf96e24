"""The page of all providers, `README.md` beside this file: made from the code, so that it says what the code does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from service.providers.base import Provider
from service.providers.registry import PROVIDERS, provider_class

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)  # samples are asked for their names alone

_INTRODUCTION = """\
# Providers

Made by `make docs` from the code: what each sender signs, what relay.yaml may say of it and what is kept of its
requests. `image-relay providers NAME` shows the same, `image-relay send --source NAME --event EVENT` sends a sample,
signed as the sender signs it.
"""


def page() -> str:
    """The whole page, in Markdown."""
    classes = [provider_class(name) for name in sorted(PROVIDERS)]
    return "\n".join([_INTRODUCTION, *_overview(classes), *(line for one in classes for line in _section(one))])


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
    yield f"- **Secrets**: {'needed' if info.needs_secret else 'not needed'}; any one of several verifies."
    if info.tolerance is not None:
        yield f"- **Time**: signed, and may be {info.tolerance:g} seconds off either way (`tolerance`)."
    else:
        yield "- **Time**: not signed; a repeated delivery is known by its id, or by its body."
    beside = " (its signature is judged too where it comes)" if info.signs_beside_auth else ""
    yield f"- **`auth:`** {_listed(info.auth) or 'its own signature alone'}{beside if info.auth else ''}"
    if info.options:
        yield f"- **Settings of its own**: {_listed(info.options)}"
    yield f"- **Headers kept**: {_listed(sorted(info.stored_headers)) or 'none'}"
    yield f"- **Samples**: {_listed(one.samples(_WHEN))}\n"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
