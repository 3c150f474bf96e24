"""relay.yaml → settings: every problem at once, each with its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct

from service.domain.errors import ConfigInvalid, Problem
from service.settings.advice import advise
from service.settings.checks import Checks, check
from service.settings.decode import Decoder
from service.settings.model import Settings
from service.settings.report import Report
from service.settings.yaml_nodes import Node, compose

MAX_BYTES = 1024 * 1024

Overlay = Callable[[Node], Node]


class Loaded(Struct, frozen=True):
    """Valid settings. `file` is None where they came from the environment alone."""

    settings: Settings
    warnings: tuple[Problem, ...] = ()
    file: Path | None = None

    @property
    def folder(self) -> Path:
        """Where paths in the settings start from."""
        return self.file.parent if self.file else Path()


def load(path: Path, environ: Mapping[str, str], checks: Checks, overlay: Overlay = lambda root: root) -> Loaded:
    """The settings in the file at `path`; ConfigInvalid with all that is wrong. `overlay` may replace values."""
    try:
        root = compose(_read(path))
        return from_nodes(overlay(root), environ, checks, Report(), path)
    except ConfigInvalid as error:
        raise ConfigInvalid(error.problems, str(path)) from None


def from_nodes(root: Node, environ: Mapping[str, str], checks: Checks, report: Report, path: Path | None) -> Loaded:
    """The settings in a tree of nodes; ConfigInvalid with all that is wrong. `report` may know more marks."""
    folder = path.parent if path else Path()
    settings = Decoder(report, environ, folder).settings(root)
    check(settings, report, checks, folder)
    report.raise_problems()
    advise(settings, report, checks.advise_source)
    return Loaded(settings, tuple(report.warnings), path)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        remedy = "name another with --config or RELAY_CONFIG, or write one with `image-relay init`"
        raise ConfigInvalid([Problem("", f"there is no such file: {remedy}")]) from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigInvalid([Problem("", f"cannot be read: {reason}")]) from None
    if len(data) > MAX_BYTES:
        raise ConfigInvalid([Problem("", "is larger than 1 MiB")])
    return data
