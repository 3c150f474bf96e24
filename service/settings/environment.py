"""Where settings come from: a flag beats the environment, the environment beats the file, and there may be no file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from service.domain.errors import Problem
from service.settings.checks import Checks
from service.settings.loader import Loaded, from_nodes, load
from service.settings.model import NAME
from service.settings.report import Report
from service.settings.yaml_nodes import Entry, Mark, Node, Scalar, Sequence
from service.settings.yaml_nodes import Mapping as MappingNode

DEFAULT_FILE = Path("relay.yaml")

# Variable → the setting it overrides. Set to nothing counts as not set.
VARIABLES = {
    "RELAY_STORE": "store",
    "RELAY_VERCEL_API": "vercel_api",
    "RELAY_VAULT_KEYS": "vault.keys",
    "RELAY_LOG": "server.log",
    "RELAY_HOST": "server.host",
    "RELAY_PORT": "server.port",
    "RELAY_UDS": "server.uds",
}


def resolve(config: Path | None, overrides: Mapping[str, object], environ: Mapping[str, str], checks: Checks) -> Loaded:
    """The settings to run with; raises ConfigInvalid.

    `config` is --config. `overrides` maps settings (`server.port`) to what their flags say; None means not given.
    """

    def overlay(root: Node) -> Node:
        for variable, setting in VARIABLES.items():
            if value := environ.get(variable):
                root = _set(root, setting, _value(setting, value, Mark(origin=variable)))
        for setting, given in overrides.items():
            if given is not None:
                flag = Mark(origin="--" + setting.rpartition(".")[2].replace("_", "-"))
                root = _set(root, setting, _value(setting, str(given), flag))
        return root

    named = config or (Path(environ["RELAY_CONFIG"]) if environ.get("RELAY_CONFIG") else None)
    if named is not None:
        return load(named, environ, checks, overlay)
    if not environ.get("RELAY_PROVIDER"):
        return load(DEFAULT_FILE, environ, checks, overlay)
    if DEFAULT_FILE.exists():
        loaded = load(DEFAULT_FILE, environ, checks, overlay)
        ignored = Problem("RELAY_PROVIDER", f"is ignored: {DEFAULT_FILE} is there and describes the sources")
        return replace(loaded, warnings=(ignored, *loaded.warnings))
    report = Report()
    return from_nodes(overlay(_without_file(environ, report)), environ, checks, report, None)


def _set(root: Node, setting: str, value: Node) -> Node:
    """`root` with a value put in; a root or section that is not one mapping is left for the decoder to report."""
    if not isinstance(root, MappingNode):
        return root
    section, _, key = setting.rpartition(".")
    if not section:
        return root.with_entry(value.mark, key, value)
    old = [entry for entry in root.entries if entry.key == section]
    if len(old) > 1:
        return root
    mark, node = (old[0].mark, old[0].node) if old else (value.mark, MappingNode(value.mark))
    if isinstance(node, Scalar) and node.null:
        node = MappingNode(mark)
    if not isinstance(node, MappingNode):
        return root
    return root.with_entry(mark, section, node.with_entry(value.mark, key, value))


def _value(setting: str, text: str, mark: Mark) -> Node:
    return _list(text, mark) if setting == "vault.keys" else Scalar(mark, text, literal=True)


def _list(text: str, mark: Mark) -> Node:
    """A comma-separated value."""
    parts = [part.strip() for part in text.split(",")]
    return Sequence(mark, tuple(Scalar(mark, part, literal=True) for part in parts if part))


def _without_file(environ: Mapping[str, str], report: Report) -> Node:
    """One source named after its provider and the project `default`, from the environment alone."""
    provider = environ["RELAY_PROVIDER"]
    name = provider if re.fullmatch(NAME, provider) else "default"
    source = _mapping(
        environ,
        "RELAY_PROVIDER",
        {"provider": "RELAY_PROVIDER", "secrets": "RELAY_SECRET", "topics": "RELAY_TOPICS", "bases": "RELAY_BASES"},
    )
    project = _mapping(
        environ,
        "RELAY_VERCEL_PROJECT",
        {"project": "RELAY_VERCEL_PROJECT", "team": "RELAY_VERCEL_TEAM", "token": "RELAY_VERCEL_TOKEN"},
    )
    # What is absent is reported under the variable that would have held it.
    for key, variable in (("secrets", "RELAY_SECRET"), ("topics", "RELAY_TOPICS"), ("bases", "RELAY_BASES")):
        report.mark(f"sources.{name}.{key}", Mark(origin=variable))
    report.mark("projects.default.project", Mark(origin="RELAY_VERCEL_PROJECT"))
    report.mark("projects.default.token", Mark(origin="RELAY_VERCEL_TOKEN"))
    if not environ.get("RELAY_VERCEL_TOKEN") and not environ.get("RELAY_VAULT_KEYS"):
        report.add("projects.default.token", "is missing: set it, or RELAY_VAULT_KEYS and use `image-relay tokens set`")
    root = MappingNode(Mark())
    if public_url := environ.get("RELAY_PUBLIC_URL"):
        mark = Mark(origin="RELAY_PUBLIC_URL")
        root = root.with_entry(mark, "public_url", Scalar(mark, public_url, literal=True))
    for section, key, node in (("sources", name, source), ("projects", "default", project)):
        root = root.with_entry(node.mark, section, MappingNode(node.mark, (Entry(node.mark, key, node),)))
    return root


def _mapping(environ: Mapping[str, str], origin: str, keys: Mapping[str, str]) -> MappingNode:
    """A mapping of those settings whose variables are set."""
    node = MappingNode(Mark(origin=origin))
    for key, variable in keys.items():
        if text := environ.get(variable):
            mark = Mark(origin=variable)
            node = node.with_entry(mark, key, _SHAPES.get(key, _text)(text, mark))
    return node


def _text(text: str, mark: Mark) -> Node:
    return Scalar(mark, text, literal=True)


def _one(text: str, mark: Mark) -> Node:
    """A list of one: a secret may hold a comma."""
    return Sequence(mark, (_text(text, mark),))


def _pairs(text: str, mark: Mark) -> Node:
    """`bucket=URL`, comma-separated; a part without = has no URL, which the decoder says."""
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    return MappingNode(mark, tuple(Entry(mark, bucket, _text(url, mark)) for bucket, _, url in pairs))


_SHAPES = {"secrets": _one, "topics": _list, "bases": _pairs}
