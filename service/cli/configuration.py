"""The settings a command works with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from service.domain.errors import CommandFailed, ConfigInvalid, Problem
from service.settings.checks import Checks
from service.settings.environment import resolve
from service.settings.loader import Loaded
from service.settings.model import Project, Settings, Source
from service.settings.wording import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])


def config_option(command: F) -> F:
    """`--config` after the command; given there, it beats the one before it."""

    def chosen(ctx: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
        before: Path | None = ctx.find_root().params.get("config")
        return before if value is None else value

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        callback=chosen,
        help="Else $RELAY_CONFIG, else ./relay.yaml.",
    )(command)


def load_settings(config: Path | None, overrides: Mapping[str, object] | None = None) -> Loaded:
    """The settings, providers and rules judged too; raises ConfigInvalid. `overrides` is what flags say."""
    # Imported here: it takes cryptography and Jinja, and a health check every few seconds needs neither.
    from service.providers.registry import build, provider_class

    def advise(source: Source) -> Iterable[str]:
        return provider_class(source.provider).warnings(source)

    return resolve(
        config, overrides or {}, os.environ, Checks(build_provider=build, compile_rules=_compile, advise_source=advise)
    )


def _compile(source: Source, settings: Settings, folder: Path) -> None:
    from service.ingest.pipeline import table_reader
    from service.providers.registry import provider_class
    from service.resolve.compiled import compile_resolve
    from service.rules.compiled import compile_rules

    limits = {name: project.max_src_image_bytes for name, project in settings.projects.items()}
    try:
        variants = provider_class(source.provider).variants
    except ValueError:  # an unknown provider, which is told by itself
        variants = {}
    problems: list[Problem] = []
    try:
        compile_rules(
            source,
            projects=settings.projects_of(source),
            limits=limits,
            read=table_reader(folder),
            variants=variants,
        )
    except ConfigInvalid as error:
        problems += error.problems
    try:
        if source.resolve is not None:
            compile_resolve(source.resolve)
    except ConfigInvalid as error:
        problems += error.problems
    if problems:
        raise ConfigInvalid(problems)


def load_basics(config: Path | None) -> Loaded:
    """The settings for a command that needs neither providers nor rules: it works while those are wrong."""

    def fine(*_: object) -> tuple[str, ...]:
        return ()

    return resolve(config, {}, os.environ, Checks(build_provider=fine, compile_rules=fine, advise_source=fine))


def project_named(settings: Settings, name: str) -> Project:
    """A project of the file; raises CommandFailed for a name it does not have."""
    return _named("project", settings.projects, name)


def source_named(settings: Settings, name: str | None) -> str:
    """The name of a source of the file, which may be left out while there is one; raises CommandFailed."""
    if name is None and len(settings.sources) == 1:
        return next(iter(settings.sources))
    if name is None:
        raise CommandFailed(f"name one of the sources: {', '.join(settings.sources) or 'there is none'}")
    _named("source", settings.sources, name)
    return name


T = TypeVar("T")


def _named(what: str, known: Mapping[str, T], name: str) -> T:
    if name not in known:
        hint = did_you_mean(name, known) or f" (there is: {', '.join(known) or 'none'})"
        raise CommandFailed(f"there is no {what} {name!r}{hint}")
    return known[name]
