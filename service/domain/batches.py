"""Purges that may share one call to Vercel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from service.domain.purges import Action

MAX_IMAGES = 8  # a call: https://vercel.com/docs/caching/cdn-cache/purge


class Batchable(Protocol):
    """What a planned and a stored purge have in common."""

    @property
    def project(self) -> str: ...
    @property
    def action(self) -> Action: ...
    @property
    def deadline(self) -> int: ...
    @property
    def src_image(self) -> str: ...


P = TypeVar("P", bound=Batchable)


class Batch(Struct, Generic[P], frozen=True):
    """One call's worth: one to eight purges of one project with one action and one deadline."""

    project: str
    action: Action
    deadline: int
    purges: tuple[P, ...]

    @property
    def images(self) -> list[str]:
        return [purge.src_image for purge in self.purges]


def batches(purges: Iterable[P]) -> list[Batch[P]]:
    """Group purges into calls: groups in the order their first purge came, purges in their order within a group."""
    groups: dict[tuple[str, Action, int], list[P]] = {}
    for purge in purges:
        groups.setdefault((purge.project, purge.action, purge.deadline), []).append(purge)
    return [
        Batch(*key, tuple(group[start : start + MAX_IMAGES]))
        for key, group in groups.items()
        for start in range(0, len(group), MAX_IMAGES)
    ]
