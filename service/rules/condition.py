"""`when`: whether a rule is about an event, for which of its URLs, and why."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, Undefined, nodes
from jinja2.environment import TemplateExpression
from msgspec import Struct

from service.rules.analysis import parse_expression
from service.rules.scope import NAMES

NO_URL = "the asset has no URL, neither in the event nor remembered"

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class Verdict(Struct, frozen=True):
    """`urls` are the ones the rule's templates are evaluated for."""

    matched: bool
    urls: tuple[str, ...]
    why: str


class Reference(Struct, frozen=True):
    """A value that a `when` looks at: `asset.kind`, `payload.image.id`."""

    text: str
    root: str
    steps: tuple[tuple[bool, str | int], ...]  # whether the step is an attribute, and its name or key

    def describe(self, environment: Environment, scope: Mapping[str, Any]) -> str:
        """`asset.kind is 'created'`, cut to a line's length."""
        value = scope[self.root]
        for attribute, key in self.steps:
            value = environment.getattr(value, str(key)) if attribute else environment.getitem(value, key)
            if isinstance(value, Undefined):
                return f"{self.text} is not defined"
        return f"{self.text} is {_SHORT.repr(value)}"


class Always(Struct, frozen=True):
    """A `when` that is left out, or plainly true or false."""

    holds: bool

    def judge(self, urls: tuple[str, ...], _scope: Mapping[str, Any]) -> Verdict:
        return Verdict(self.holds, urls, "the rule has no condition" if self.holds else "`when` is false")


class Condition(Struct, frozen=True):
    """A compiled `when`. One that mentions `url` is asked once per URL, any other once."""

    text: str
    per_url: bool
    expression: TemplateExpression
    references: tuple[Reference, ...]
    environment: Environment
    by_kind: dict[str, tuple[bool, str]] | None = None
    """The answers so far, where they depend on the kind alone: most conditions do, and there are but a few kinds."""

    @classmethod
    def compile(cls, environment: Environment, source: str, names: frozenset[str]) -> Condition:
        """Compile an examined expression that mentions `names`; raises what Jinja's compiler raises."""
        expression = environment.compile_expression(source, undefined_to_none=False)
        parsed = parse_expression(environment, source)
        references = tuple(dict.fromkeys(_references(parsed)))
        by_kind: dict[str, tuple[bool, str]] | None = {} if _on_kind_alone(parsed) else None
        return cls(" ".join(source.split()), "url" in names, expression, references, environment, by_kind)

    def judge(self, urls: tuple[str, ...], scope: Mapping[str, Any]) -> Verdict:
        """The verdict on an event with these URLs; raises what the expression raises."""
        if self.by_kind is not None:
            kind = scope["asset"].kind
            if (known := self.by_kind.get(kind)) is None:
                known = self.by_kind[kind] = self._asked_once(scope)
            return Verdict(known[0], urls, known[1])
        if not self.per_url:
            holds, why = self._asked_once(scope)
            return Verdict(holds, urls, why)
        if not urls:
            return Verdict(False, (), f"`{self.text}` mentions url, and {NO_URL}")
        passed = tuple(url for url in urls if self.expression(scope, url=url))
        return Verdict(bool(passed), passed, self._why(_count(urls, passed), scope))

    def _asked_once(self, scope: Mapping[str, Any]) -> tuple[bool, str]:
        holds = bool(self.expression(scope))
        return holds, self._why("holds" if holds else "does not hold", scope)

    def _why(self, outcome: str, scope: Mapping[str, Any]) -> str:
        values = "; ".join(reference.describe(self.environment, scope) for reference in self.references)
        return f"`{self.text}` {outcome}: {values}" if values else f"`{self.text}` {outcome}"


def _count(urls: tuple[str, ...], passed: tuple[str, ...]) -> str:
    """`holds for 2 of 3 URLs, not for 'https://…'`."""
    if len(urls) == 1:
        return f"{'holds' if passed else 'does not hold'} for {_SHORT.repr(urls[0])}"
    if not passed or len(passed) == len(urls):
        return f"holds for {'all' if passed else 'none of the'} {len(urls)} URLs"
    failed = [url for url in urls if url not in passed]
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"holds for {len(passed)} of {len(urls)} URLs, not for {_SHORT.repr(failed[0])}{more}"


_KIND = Reference("asset.kind", "asset", ((True, "kind"),))
_PURE = (nodes.Const, nodes.List, nodes.Tuple, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not)


def _on_kind_alone(node: nodes.Node) -> bool:
    """Whether nothing but `asset.kind` decides an expression: no other name, no call, filter or test."""
    if isinstance(node, nodes.Getattr):
        return _reference(node) == _KIND
    return isinstance(node, _PURE) and all(map(_on_kind_alone, node.iter_child_nodes()))


def _references(node: nodes.Node) -> Iterator[Reference]:
    """The values an expression looks at, as far as they can be read off it; a method called on one is left out."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        for child in node.iter_child_nodes():
            yield from _references(node.node.node if child is node.node else child)
        return
    reference = _reference(node)
    if reference is None:
        for child in node.iter_child_nodes():
            yield from _references(child)
    elif reference.steps or reference.root == "source":
        yield reference


def _reference(node: nodes.Node) -> Reference | None:
    """The node as a chain of attributes and constant keys on a name of the scope, None if it is anything else."""
    if isinstance(node, nodes.Name):
        return Reference(node.name, node.name, ()) if node.name in NAMES and node.name != "url" else None
    if not isinstance(node, (nodes.Getattr, nodes.Getitem)) or (base := _reference(node.node)) is None:
        return None
    if isinstance(node, nodes.Getattr):
        return Reference(f"{base.text}.{node.attr}", base.root, (*base.steps, (True, node.attr)))
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, (str, int)):
        return Reference(f"{base.text}[{node.arg.value!r}]", base.root, (*base.steps, (False, node.arg.value)))
    return None
