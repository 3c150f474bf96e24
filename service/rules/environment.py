"""The sandbox that rules run in."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from jinja2 import StrictUndefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from service.domain.errors import RuleFailed
from service.rules.filters import FILTERS, lookup_in
from service.rules.tables import Table

MAX_RENDERED = 64 * 1024  # characters of one rendered template
_MAX_BITS = 4096  # of a product or power


class RuleEnvironment(ImmutableSandboxedEnvironment):
    """Jinja for rules: immutable sandbox, undefined names are errors, no files, no HTML escaping, null prints nothing.

    The sandbox stops a template from reaching into Python; `*` and `**` are bounded besides, because a payload may
    hold the number that makes a string or an integer fill the memory.
    """

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, tables: Mapping[str, Table]) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            keep_trailing_newline=False,
            loader=None,
            cache_size=0,
            finalize=_nothing_for_null,
        )
        del self.globals["lipsum"]  # filler text has no place in a rule
        self.filters.update(FILTERS, lookup=lookup_in(tables))

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        """One dict in place of Jinja's chain of two: every rendering copies it, and ours never change."""
        return {**self.globals, **(d or {})}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if _too_large(operator, left, right):
            raise RuleFailed(f"the result of {operator} is too large")
        return super().call_binop(context, operator, left, right)


def _too_large(operator: str, left: Any, right: Any) -> bool:
    """Whether a product or power would be larger than a rule can have use for."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        return (bits * right if operator == "**" else bits + right.bit_length()) > _MAX_BITS
    if isinstance(right, (str, list, tuple)):
        left, right = right, left
    return isinstance(left, (str, list, tuple)) and isinstance(right, int) and len(left) * right > MAX_RENDERED


def _nothing_for_null(value: Any) -> Any:
    return "" if value is None else value
