"""What was found wrong so far, and where everything was written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from service.domain.errors import ConfigInvalid, Problem
from service.settings.yaml_nodes import Mark

_Finding = tuple[str, str, Mark | None]

_PLAIN_KEY = re.compile(r"[\w:/@-]{1,80}")


def join(path: str, key: str | int) -> str:
    """`path` and one more key, dotted, or index, in brackets; a key with anything odd in it is quoted and cut."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key if _PLAIN_KEY.fullmatch(key) else repr(key[:80])
    return f"{path}.{shown}" if path else shown


def _ways_up(path: str) -> Iterator[str]:
    """The path itself, then everything around it, the root last."""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    yield ""


class Report:
    """Collects problems and warnings by path and turns paths into lines at the end."""

    def __init__(self) -> None:
        self._marks: dict[str, Mark] = {}
        self._problems: list[_Finding] = []
        self._warnings: list[_Finding] = []
        self._spoiled: set[str] = set()

    def mark(self, path: str, mark: Mark) -> None:
        """Remember where `path` was written."""
        self._marks[path] = mark

    def add(self, path: str, message: str, mark: Mark | None = None) -> None:
        """A problem at `path`, and at `mark` where that is not where `path` was first written."""
        self._problems.append((path, message, mark))
        self._spoiled.update(_ways_up(path))

    def warn(self, path: str, message: str) -> None:
        self._warnings.append((path, message, None))

    def spoiled(self, path: str) -> bool:
        """Whether something at or below `path` is wrong already: what builds on it would only say so again."""
        return path in self._spoiled

    def raise_problems(self) -> None:
        """Raise ConfigInvalid if there is a problem."""
        if self._problems:
            raise ConfigInvalid(self._placed(self._problems))

    @property
    def warnings(self) -> list[Problem]:
        return self._placed(self._warnings)

    def _placed(self, found: list[_Finding]) -> list[Problem]:
        return sorted((self._place(*finding) for finding in found), key=lambda problem: problem.line)

    def _place(self, path: str, message: str, mark: Mark | None) -> Problem:
        mark = mark or self._nearest(path)
        return Problem(mark.origin or path, message, mark.line)

    def _nearest(self, path: str) -> Mark:
        """The mark of `path`, else of the closest thing around it: a missing key is shown where it belongs."""
        return next((self._marks[around] for around in _ways_up(path) if around in self._marks), Mark(1))
