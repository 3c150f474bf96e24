"""Short ways to compile rules and apply them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.domain.events import AssetEvent, AssetKind
from service.rules.compiled import CompiledRules, compile_rules
from service.rules.plan import Plan, plan
from service.rules.tables import Read
from service.settings.model import Rule, Source

URL = "https://cdn.example.com/products/hero.jpg?w=1"
OLD = "https://cdn.example.com/products/old.jpg"


def files(**named: bytes) -> Read:
    """A reader of `name_csv=…` as name.csv, and of nothing else."""
    contents = {name.replace("_", "."): content for name, content in named.items()}

    def read(path: str) -> bytes:
        if path not in contents:
            raise FileNotFoundError(2, "No such file or directory")
        return contents[path]

    return read


def compiled(
    *rules: Rule,
    projects: Sequence[str] = ("shop",),
    limits: Mapping[str, int] | None = None,
    read: Read | None = None,
    settle: float = 2.0,
) -> CompiledRules:
    """These rules compiled, the default rule where there are none."""
    source = Source(provider="contentful", rules=list(rules) or None, settle=settle)
    sizes = dict.fromkeys(projects, 1013) if limits is None else limits
    return compile_rules(source, projects=projects, limits=sizes, read=read or files())


def asset(kind: AssetKind = AssetKind.REPLACED, *urls: str, **more: Any) -> AssetEvent:
    """An event of the asset `a1`."""
    return AssetEvent(kind=kind, id=more.pop("id", "a1"), urls=urls, **more)


def planned(rules: CompiledRules, event: AssetEvent, payload: Any = None, **headers: str) -> Plan:
    """The plan of an event from the source `cms`."""
    return plan(rules, event, payload=payload, headers=headers, source="cms")


def images(result: Plan) -> list[str]:
    """The source images of a plan, in order."""
    return [purge.src_image for purge in result.purges]
