"""Hosts that serve the same files under the same paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from service.domain.variants import Variant


def other_hosts(*groups: tuple[str, ...]) -> dict[str, Variant]:
    """The variant `other-hosts`: the same path at each other host of its group."""
    named = ", ".join(" and ".join(group) for group in groups)
    return {"other-hosts": Variant(f"at the other hosts of the same file: {named}", _among(groups))}


def _among(groups: tuple[tuple[str, ...], ...]) -> Callable[[str], Iterable[str]]:
    others = {host: [one for one in group if one != host] for group in groups for host in group}

    def spell(url: str) -> Iterator[str]:
        rest = url.removeprefix("https://")
        host, slash, path = rest.partition("/")
        if rest != url and slash:
            yield from (f"https://{other}/{path}" for other in others.get(host, ()))

    return spell
