"""What relates one setting to another, and values that have a form of their own."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from service.domain.errors import ConfigInvalid
from service.domain.purges import Action
from service.domain.secret import Secret
from service.settings.addresses import api_url_problem, base_url_problem, http_url_problem, is_postgres, sqlite_path
from service.settings.model import NAME, Auth, Project, Rule, Settings, Source
from service.settings.quota import parse_quota
from service.settings.report import Report, join
from service.settings.wording import did_you_mean

KEY_COMMAND = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'

_NOT_THE_PROVIDERS = ("projects", "rules", "settle", "quota", "resolve")

_NAME = re.compile(NAME)
_TOKEN = re.compile(r"[\x21-\x7e]+")
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


class BuildProvider(Protocol):
    """Whether a provider takes a source's settings: raises ValueError, its `key` naming the setting, if it does not."""

    def __call__(self, name: str, source: Source, /) -> object: ...


class CompileRules(Protocol):
    """Whether a source's rules compile: raises ConfigInvalid, its paths below the source, if they do not.

    Tables that rules look up are files in `folder`.
    """

    def __call__(self, source: Source, settings: Settings, folder: Path, /) -> object: ...


class AdviseSource(Protocol):
    """What looks wrong in a source's settings and may yet be meant."""

    def __call__(self, source: Source, /) -> Iterable[str]: ...


class Checks(Struct, frozen=True, kw_only=True):
    """The parts of a check that settings cannot do alone: providers and rules are built on top of them."""

    build_provider: BuildProvider
    compile_rules: CompileRules
    advise_source: AdviseSource


def check(settings: Settings, report: Report, checks: Checks, folder: Path) -> None:
    """Add every problem to the report; what is wrong already is not judged again."""
    _check_root(settings, report)
    for name, project in settings.projects.items():
        path = join("projects", name)
        _check_name(path, name, report)
        _check_project(path, project, report)
    for name, source in settings.sources.items():
        path = join("sources", name)
        _check_name(path, name, report)
        _check_source(path, source, settings, report)
        _check_provider(path, name, source, report, checks.build_provider)
        _check_rules(path, report, partial(checks.compile_rules, source, settings, folder))


def _check_root(settings: Settings, report: Report) -> None:
    if settings.public_url is not None and (problem := http_url_problem(settings.public_url)):
        report.add("public_url", problem)
    if problem := api_url_problem(settings.vercel_api):
        report.add("vercel_api", problem)
    try:
        is_postgres(settings.store) or sqlite_path(settings.store)
    except ValueError as error:
        report.add("store", str(error))
    for index, key in enumerate(settings.vault.keys):
        path = f"vault.keys[{index}]"
        if not report.spoiled(path) and not is_fernet_key(key):
            report.add(path, f"is not a Fernet key; this makes one: {KEY_COMMAND}")


def is_fernet_key(key: Secret) -> bool:
    """Whether a secret is 32 bytes in URL-safe base64: https://github.com/fernet/spec/blob/master/Spec.md"""
    text = key.reveal()
    return bool(_FERNET_KEY.fullmatch(text)) and len(base64.urlsafe_b64decode(text)) == 32


def _check_name(path: str, name: str, report: Report) -> None:
    if not _NAME.fullmatch(name) or name.endswith("\n"):
        report.add(path, "a name is 1 to 64 of a-z, 0-9, - and _, and begins with a letter or digit")


def _check_project(path: str, project: Project, report: Report) -> None:
    # It goes into an Authorization header, which can carry neither a line end nor anything but ASCII.
    if project.token is not None and not _TOKEN.fullmatch(project.token.reveal()):
        report.add(f"{path}.token", "holds a space, a line end or a character that is not ASCII")


def _check_source(path: str, source: Source, settings: Settings, report: Report) -> None:
    _check_projects(path, source, settings, report)
    if source.auth is not None and not report.spoiled(f"{path}.auth"):
        given = [kind for kind in Auth.__struct_fields__ if getattr(source.auth, kind) is not None]
        if len(given) != 1:
            found = f", not {' and '.join(given)}" if given else ""
            report.add(f"{path}.auth", f"give exactly one of {', '.join(Auth.__struct_fields__)}{found}")
    if source.quota is not None:
        try:
            parse_quota(source.quota)
        except ValueError as error:
            report.add(f"{path}.quota", str(error))
    for bucket, base in source.bases.items():
        if problem := base_url_problem(base):
            report.add(join(f"{path}.bases", bucket), problem)
    if source.emulator is not None and (problem := http_url_problem(source.emulator)):
        report.add(f"{path}.emulator", problem)
    for index, rule in enumerate(source.rules or ()):
        _check_rule(f"{path}.rules[{index}]", rule, source, settings, report)


def _check_projects(path: str, source: Source, settings: Settings, report: Report) -> None:
    """The projects a source feeds exist, and there is no doubt which they are."""
    if report.spoiled("projects") and not settings.projects:
        return
    if source.projects is not None:
        _check_known(f"{path}.projects", source.projects, settings.projects, report)
    elif report.spoiled(f"{path}.projects") or (source.rules and all(rule.projects for rule in source.rules)):
        return
    elif not settings.projects:
        report.add(path, "has no project to purge: describe one under `projects`")
    elif len(settings.projects) > 1:
        names = ", ".join(settings.projects)
        report.add(f"{path}.projects", f"is missing: there are several projects, so name those it feeds ({names})")


def _check_known(path: str, names: list[str], known: Collection[str], report: Report) -> None:
    if not names and not report.spoiled(path):
        report.add(path, "is an empty list: name at least one project, or leave the key out")
    for index, name in enumerate(names):
        place = join(path, index)
        if name not in known and not report.spoiled(place):
            report.add(place, f"there is no project {name!r}{did_you_mean(name, known)}")


def _check_rule(path: str, rule: Rule, source: Source, settings: Settings, report: Report) -> None:
    if rule.projects is not None:
        _check_known(f"{path}.projects", rule.projects, settings.projects, report)
    if rule.action is Action.INVALIDATE and rule.revalidation_deadline_seconds is not None:
        report.add(f"{path}.revalidation_deadline_seconds", "goes only with `action: delete`")
    fed = rule.projects or settings.projects_of(source)
    known = [settings.projects[name].max_src_image_bytes for name in fed if name in settings.projects]
    for index, text in enumerate(rule.src_images):
        place = f"{path}.src_images[{index}]"
        if not report.spoiled(place) and (problem := _literal_image_problem(text, max(known, default=0))):
            report.add(place, problem)


def _literal_image_problem(text: str, most: int) -> str | None:
    """Why a source image without any template in it can never be sent; `most` is the largest limit in bytes."""
    if "{{" in text or "{%" in text or "{#" in text:
        return None
    if "*" in text:
        return "Vercel takes no * in a source image"
    size = max(len(line.strip().encode()) for line in text.splitlines())
    return f"is {size} bytes long, {most} are allowed (max_src_image_bytes)" if size > most > 0 else None


def _check_provider(path: str, name: str, source: Source, report: Report, build: BuildProvider) -> None:
    if any(report.spoiled(f"{path}.{key}") for key in Source.__struct_fields__ if key not in _NOT_THE_PROVIDERS):
        return
    try:
        build(name, source)
    except ValueError as error:
        key = str(getattr(error, "key", ""))
        report.add(f"{path}.{key}" if key else path, str(error))


def _check_rules(path: str, report: Report, compile_rules: Callable[[], object]) -> None:
    try:
        compile_rules()
    except ConfigInvalid as error:
        for problem in error.problems:
            below = f"{path}.{problem.path}" if problem.path else path
            if not report.spoiled(below):
                report.add(below, problem.message)
