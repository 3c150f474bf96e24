"""A source's rules, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from jinja2 import Template, nodes
from msgspec import Struct

from service.domain.errors import ConfigInvalid, Problem, RuleFailed
from service.domain.events import AssetKind
from service.domain.purges import Action
from service.domain.variants import Variant
from service.rules.analysis import Findings, examine_expression, examine_template, guarded
from service.rules.condition import Always, Condition
from service.rules.environment import MAX_RENDERED, RuleEnvironment
from service.rules.tables import Read, Table, load_table
from service.rules.variants import GENERIC, Spell
from service.settings.model import Rule, Settings, Source

STALE_SECONDS = 60  # how long Vercel may serve stale while it revalidates: one hot image is not a stampede

T = TypeVar("T")

DEFAULT_RULES = (Rule(name="default", when='asset.kind not in ["created", "unknown"]', src_images=["{{ url }}"]),)


class ImageTemplate(Struct, frozen=True):
    """A compiled entry of `src_images`; `place` is its key below the rule. One that `is_url` is `{{ url }}` alone."""

    text: str
    place: str
    per_url: bool
    template: Template
    is_url: bool = False

    def render(self, scope: Mapping[str, Any], url: str | None = None) -> str:
        """The text, at most 64 Ki characters; raises RuleFailed beyond, and whatever the template raises."""
        if self.is_url and url is not None:  # most are; and to have it rendered would cost as much as all other steps
            return _within_limit(url)
        given = dict(scope) if url is None else {**scope, "url": url}
        parts, size = [], 0
        for part in self.template.root_render_func(self.template.new_context(given)):
            parts.append(part)
            size += len(part)
            if size > MAX_RENDERED:
                break
        return _within_limit("".join(parts))


def _within_limit(text: str) -> str:
    if len(text) > MAX_RENDERED:
        raise RuleFailed(f"the template writes more than {MAX_RENDERED} characters")
    return text


def _is_url(body: Sequence[nodes.Node]) -> bool:
    """Whether a parsed template writes the URL and nothing else."""
    match body:
        case [nodes.Output(nodes=[nodes.Name(name="url")])]:
            return True
    return False


class CompiledRule(Struct, frozen=True, kw_only=True):
    """A rule ready to be applied. `projects` maps each project it feeds to its limit for one image, in bytes; `spells`
    make the URL's other spellings."""

    name: str
    condition: Always | Condition
    images: tuple[ImageTemplate, ...]
    action: Action
    deadline: int | None
    settle: float | None
    source_settle: float
    projects: Mapping[str, int]
    stop: bool
    spells: tuple[Spell, ...] = ()

    def deadline_for(self, kind: AssetKind) -> int:
        """Vercel's deadline in seconds: the rule's own, else none for what is gone and a minute for the rest."""
        if self.action is Action.INVALIDATE:
            return 0
        if self.deadline is not None:
            return self.deadline
        return 0 if kind.gone else STALE_SECONDS

    def settle_for(self, kind: AssetKind) -> float:
        """Seconds between event and purge: the rule's own, else none for what is gone and the source's for the rest."""
        if self.settle is not None:
            return self.settle
        return 0.0 if kind.gone else self.source_settle


class CompiledRules(Struct, frozen=True):
    """A source's rules in the order they are tried."""

    rules: tuple[CompiledRule, ...]


def compile_settings(
    settings: Settings, read: Read, variants_of: Callable[[Source], Mapping[str, Variant]] = lambda _: {}
) -> dict[str, CompiledRules]:
    """Every source's rules by source; ConfigInvalid with all problems, their paths from the top of the file.

    `variants_of` gives the spellings that a source's provider knows beside the generic ones.
    """
    compiled, problems = {}, []
    limits = {name: project.max_src_image_bytes for name, project in settings.projects.items()}
    for name, source in settings.sources.items():
        try:
            compiled[name] = compile_rules(
                source,
                projects=settings.projects_of(source),
                limits=limits,
                read=read,
                variants=variants_of(source),
            )
        except ConfigInvalid as error:
            problems += [Problem(f"sources.{name}.{problem.path}", problem.message) for problem in error.problems]
    if problems:
        raise ConfigInvalid(problems)
    return compiled


def compile_rules(
    source: Source,
    *,
    projects: Sequence[str],
    limits: Mapping[str, int],
    read: Read,
    variants: Mapping[str, Variant] | None = None,
) -> CompiledRules:
    """Compile a source's rules, or the default rule; ConfigInvalid with all problems, their paths below the source.

    `projects` are fed by rules that name none; `limits` maps every project to its `max_src_image_bytes`; `variants`
    are those of the provider.
    """
    compiler = _Compiler(source, projects, limits, read, {**GENERIC, **(variants or {})})
    rules = compiler.compile(source.rules if source.rules is not None else DEFAULT_RULES)
    if compiler.problems:
        raise ConfigInvalid(compiler.problems)
    return rules


class _Compiler:
    """Collects the problems of one source's rules; what it returns is complete only where there are none."""

    def __init__(
        self,
        source: Source,
        projects: Sequence[str],
        limits: Mapping[str, int],
        read: Read,
        variants: Mapping[str, Variant],
    ) -> None:
        self.problems: list[Problem] = []
        self._source = source
        self._projects = projects
        self._limits = limits
        self._read = read
        self._variants = variants
        self._tables: dict[str, Table] = {}  # the environment's `lookup` sees each table as it is loaded
        self._environment = RuleEnvironment(self._tables)

    def compile(self, rules: Sequence[Rule]) -> CompiledRules:
        return CompiledRules(tuple(self._rule(rule, index) for index, rule in enumerate(rules)))

    def _rule(self, rule: Rule, index: int) -> CompiledRule:
        path = f"rules[{index}]"
        if rule.action is Action.INVALIDATE and rule.revalidation_deadline_seconds is not None:
            self._problem(f"{path}.revalidation_deadline_seconds", "only `action: delete` takes a deadline")
        condition = self._condition(rule.when, f"{path}.when")
        images = [self._image(text, f"src_images[{n}]", path) for n, text in enumerate(rule.src_images)]
        return CompiledRule(
            name=rule.name or f"rule {index + 1}",
            condition=condition,
            images=tuple(image for image in images if image is not None),
            action=rule.action,
            deadline=rule.revalidation_deadline_seconds,
            settle=rule.settle,
            source_settle=self._source.settle,
            projects=self._fed(rule.projects, f"{path}.projects"),
            stop=rule.stop,
            spells=self._spells(rule, images, f"{path}.variants"),
        )

    def _spells(self, rule: Rule, images: Sequence[ImageTemplate | None], path: str) -> tuple[Spell, ...]:
        for index, name in enumerate(rule.variants):
            if name not in self._variants:
                near = get_close_matches(name, self._variants, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._variants)}"
                self._problem(f"{path}[{index}]", f"no variant {name!r}; {hint}")
        if rule.variants and not any(image is None or image.per_url for image in images):
            self._problem(path, "would do nothing: no entry of src_images mentions url")
        return tuple(self._variants[name].spell for name in rule.variants if name in self._variants)

    def _condition(self, when: str | bool, path: str) -> Always | Condition:
        if isinstance(when, bool):
            return Always(when)
        names = self._examined(examine_expression(self._environment, when), path)
        compiled = self._tried(path, lambda known: Condition.compile(self._environment, when, known), names)
        return Always(False) if compiled is None else compiled

    def _image(self, text: str, place: str, path: str) -> ImageTemplate | None:
        path = f"{path}.{place}"
        names = self._examined(examine_template(self._environment, text), path)
        return self._tried(
            path,
            lambda known: ImageTemplate(
                text,
                place,
                "url" in known,
                self._environment.from_string(text),
                _is_url(self._environment.parse(text).body),
            ),
            names,
        )

    def _examined(self, findings: Findings, path: str) -> frozenset[str] | None:
        """The names a source mentions, its tables loaded; None after a problem."""
        problems = list(findings.problems)
        for table in sorted(findings.tables.difference(self._tables)):
            try:
                self._tables[table] = load_table(table, self._read)
            except ValueError as error:
                problems.append(f"lookup: {error}")
        for problem in problems:
            self._problem(path, problem)
        return None if problems else findings.names

    def _tried(self, path: str, build: Callable[[frozenset[str]], T], names: frozenset[str] | None) -> T | None:
        """What `build` makes of the names; None after a problem, be it an earlier one."""
        if names is None:
            return None
        try:
            return guarded(lambda: build(names))
        except ValueError as error:
            self._problem(path, str(error))
            return None

    def _fed(self, named: Sequence[str] | None, path: str) -> Mapping[str, int]:
        """The limits of the projects a rule feeds."""
        for name in named or ():
            if name not in self._limits:
                near = get_close_matches(name, self._limits, n=1)
                self._problem(path, f"no project {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
        chosen = self._projects if named is None else named
        return {name: self._limits[name] for name in chosen if name in self._limits}

    def _problem(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))
