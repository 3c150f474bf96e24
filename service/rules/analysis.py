"""What can be said about an expression or a template before any event: the names it uses, and its mistakes."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TypeVar

from jinja2 import Environment, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.parser import Parser
from msgspec import Struct

from service.domain.errors import RuleFailed
from service.domain.events import AssetKind
from service.rules.filters import FILTERS, lookup_in
from service.rules.scope import ASSET_ATTRIBUTES, NAMES
from service.rules.tables import path_problem

_FILE_TAGS = {nodes.Include: "include", nodes.Import: "import", nodes.FromImport: "from", nodes.Extends: "extends"}
_DICT_METHODS = frozenset(name for name in dir(dict) if not name.startswith("_"))
_KINDS = tuple(kind.value for kind in AssetKind)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_SIGNATURES = {name: inspect.signature(function) for name, function in {**FILTERS, "lookup": lookup_in({})}.items()}

T = TypeVar("T")


class Findings(Struct, frozen=True):
    """`names` are those of the scope that the source mentions, `tables` the files that its `lookup`s read."""

    names: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def guarded(step: Callable[[], T]) -> T:
    """Run a step of Jinja's compiler; ValueError with one readable line for everything a bad source makes it raise."""
    try:
        with warnings.catch_warnings():
            # Jinja decodes string escapes with Python's codec, which warns of the \d and \. of regular expressions, and
            # has Python compile its code, which warns of `1()`: neither means anything to whoever wrote the rule.
            warnings.simplefilter("ignore")
            return step()
    except TemplateSyntaxError as error:
        raise ValueError(f"{error.message} (line {error.lineno})" if error.lineno > 1 else error.message) from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (TemplateError, SyntaxError, OverflowError, MemoryError) as error:
        raise ValueError(f"cannot be compiled: {error}") from error


def parse_expression(environment: Environment, source: str) -> nodes.Expr:
    """The tree of an expression; ValueError when it is none."""

    def parse() -> nodes.Expr:
        parser = Parser(environment, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail("more follows after the end of the expression", exc=TemplateSyntaxError)
        return expression

    return guarded(parse)


def examine_expression(environment: Environment, source: str) -> Findings:
    """Findings on a `when`."""
    try:
        tree = nodes.Template([nodes.Output([parse_expression(environment, source)], lineno=1)], lineno=1)
    except ValueError as error:
        return Findings(problems=(str(error),))
    tree.set_environment(environment)
    return _examine(environment, tree)


def examine_template(environment: Environment, source: str) -> Findings:
    """Findings on an entry of `src_images`."""
    try:
        tree = guarded(lambda: environment.parse(source))
    except ValueError as error:
        return Findings(problems=(str(error),))
    return _examine(environment, tree)


def _examine(environment: Environment, tree: nodes.Template) -> Findings:
    tables: set[str] = set()
    problems = [*_foreign_files(tree), *_unknown_functions(environment, tree), *_misused_filters(tree, tables)]
    if problems:
        return Findings(problems=tuple(problems))
    try:
        names = frozenset(guarded(lambda: meta.find_undeclared_variables(tree)))
    except ValueError as error:
        return Findings(problems=(str(error),))
    problems += [_unknown_name(name) for name in sorted(names.difference(NAMES))]
    if "asset" in names:
        problems += [*_unknown_attributes(tree), *_unknown_kinds(tree)]
    problems += _shadowed_keys(tree)
    return Findings(names, frozenset(tables), tuple(problems))


def _foreign_files(tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all(tuple(_FILE_TAGS)):
        yield f"{{% {_FILE_TAGS[type(node)]} %}} needs another template, and rules have no files"


def _unknown_functions(environment: Environment, tree: nodes.Template) -> Iterator[str]:
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        what, known = ("filter", environment.filters) if isinstance(node, nodes.Filter) else ("test", environment.tests)
        if node.name not in known:
            yield _unknown(what, node.name, known)


def _unknown_attributes(tree: nodes.Template) -> Iterator[str]:
    named = [(node.node, node.attr) for node in tree.find_all(nodes.Getattr)]
    keyed = [(node.node, _constant(node.arg)) for node in tree.find_all(nodes.Getitem)]
    for owner, attribute in (*named, *keyed):
        if not (isinstance(owner, nodes.Name) and owner.name == "asset"):
            continue
        if isinstance(attribute, str) and attribute not in ASSET_ATTRIBUTES:
            yield _unknown("attribute of asset", attribute, ASSET_ATTRIBUTES)


def _unknown_kinds(tree: nodes.Template) -> Iterator[str]:
    """A kind that no event has, compared with `asset.kind`: the rule would never apply, and nobody would be told."""
    for node in tree.find_all(nodes.Compare):
        if not (isinstance(node.expr, nodes.Getattr) and node.expr.attr == "kind" and _root(node.expr) == "asset"):
            continue
        for operand in node.ops:
            for kind in _compared(operand):
                if isinstance(kind, str) and kind not in _KINDS:
                    yield _unknown("asset.kind", kind, _KINDS)


def _compared(operand: nodes.Operand) -> Sequence[object]:
    """The constants one is held against: Jinja has folded a list of them into one by now."""
    other = _constant(operand.expr)
    if operand.op in ("in", "notin"):
        return other if isinstance(other, (list, tuple)) else ()
    return (other,) if operand.op in ("eq", "ne") else ()


def _shadowed_keys(tree: nodes.Template) -> Iterator[str]:
    """`payload.items` is Python's method, not the key: Jinja looks for attributes first."""
    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    for node in tree.find_all(nodes.Getattr):
        if node.attr in _DICT_METHODS and id(node) not in called and _root(node) in ("payload", "headers"):
            yield f".{node.attr} is a method of every JSON object; for the key of that name write [{node.attr!r}]"


def _root(node: nodes.Expr) -> str | None:
    """The name that a chain of attributes and keys starts from, None where it starts from something else."""
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None


def _misused_filters(tree: nodes.Template, tables: set[str]) -> Iterator[str]:
    """Mistakes in the arguments of our own filters; the files that `lookup` names are added to `tables`."""
    for node in tree.find_all(nodes.Filter):
        if node.name not in _SIGNATURES or node.dyn_args or node.dyn_kwargs:
            continue
        try:
            named = {str(pair.key): pair.value for pair in node.kwargs}
            call = _SIGNATURES[node.name].bind(None, *node.args, **named)
        except TypeError as error:
            yield f"{node.name}: {error}"
            continue
        arguments = {name: _constant(value) for name, value in list(call.arguments.items())[1:]}
        problem = _table_problem(arguments["table"]) if node.name == "lookup" else _trial(node.name, arguments)
        if problem:
            yield problem
        elif node.name == "lookup":
            tables.add(str(arguments["table"]))


def _table_problem(table: object) -> str | None:
    if not isinstance(table, str):
        return "lookup: name the table as a plain string: it is read once, when the relay starts"
    problem = path_problem(table)
    return f"lookup: {problem}" if problem else None


def _trial(name: str, arguments: dict[str, object]) -> str | None:
    """Why a filter with constant arguments can never work: it is tried once."""
    if any(value is _UNKNOWN for value in arguments.values()):
        return None
    if name == "regex_replace" and any(_CONTROL.search(str(value)) for value in arguments.values()):
        return r'regex_replace: Jinja reads "\1" and "\b" as control characters; write "\\1" and "\\b"'
    try:
        FILTERS[name]("https://example.com/", **arguments)
    except (RuleFailed, re.error, IndexError) as error:
        return f"{name}: {error}"
    return None


_UNKNOWN = object()


def _constant(node: nodes.Expr) -> object:
    return node.value if isinstance(node, nodes.Const) else _UNKNOWN


def _unknown_name(name: str) -> str:
    if name in _SIGNATURES:
        return f"{name} is a filter: write url | {name}, not {name}(url)"
    return _unknown("name", name, NAMES)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    """`unknown filter 'without_qery', did you mean 'without_query'?`"""
    near = get_close_matches(name, list(known), n=1)
    hint = f", did you mean {near[0]!r}?" if near else f" (known: {', '.join(known)})" if known in _SHORT_LISTS else ""
    return f"unknown {what} {name!r}{hint}"


_SHORT_LISTS = (NAMES, ASSET_ATTRIBUTES, _KINDS)
