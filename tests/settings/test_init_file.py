"""`image-relay init`: a file that passes `check` once the variables it names are set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.domain.errors import CommandFailed, ConfigInvalid
from service.providers import registry
from service.rules.compiled import compile_rules
from service.settings.checks import Checks
from service.settings.init_file import example, write_init
from service.settings.loader import load
from service.settings.model import Settings, Source

ENVIRON = {
    "RELAY_VAULT_KEY": "A" * 43 + "=",
    "VERCEL_TOKEN": "a-fake-token-of-good-length",
    "CONTENTFUL_SECRET": "f" * 64,
    "CLOUDINARY_API_SECRET": "a-fake-cloudinary-secret",
    "SANITY_WEBHOOK_SECRET": "a-fake-sanity-secret",
    "WEBHOOK_SECRET": "whsec_" + "ZmFrZQ" * 8,
}
NEEDED = ("RELAY_VAULT_KEY", "VERCEL_TOKEN", "CONTENTFUL_SECRET")


def compile_source(source: Source, settings: Settings, folder: Path) -> object:
    limits = {name: project.max_src_image_bytes for name, project in settings.projects.items()}
    projects = settings.projects_of(source)
    return compile_rules(source, projects=projects, limits=limits, read=lambda name: (folder / name).read_bytes())


CHECKS = Checks(
    build_provider=registry.build,
    compile_rules=compile_source,
    advise_source=lambda source: registry.provider_class(source.provider).warnings(source),
)


def without_comments(text: str) -> str:
    """The example with its commented-out settings in force."""
    start, end = text.index("# projects: [shop]"), text.index("  # Other senders")
    rules = re.sub(r"(?m)^(    )# (rules:|  .*)$", r"\1\2", text[start:end])
    others, tail = text[end:].split("# What one request", 1)
    others = re.sub(r"(?m)^  # (\w.*:|  .*)$", r"  \1", others)
    tail = re.sub(r"(?m)^# (\w+: \{)", r"\1", tail)
    return text[:start] + rules + others + "# What one request" + tail


def test_it_passes_with_the_variables_it_names(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    write_init(file)
    loaded = load(file, {name: ENVIRON[name] for name in NEEDED}, CHECKS)
    assert loaded.warnings == ()
    assert list(loaded.settings.sources) == ["cms"]


def test_it_names_every_variable_that_is_not_set(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    write_init(file)
    with pytest.raises(ConfigInvalid) as caught:
        load(file, {}, CHECKS)
    messages = [problem.message for problem in caught.value.problems]
    assert [message.split()[3] for message in messages] == list(NEEDED)
    assert all(f"#   {name}" in example() for name in NEEDED)


def test_what_it_has_in_comments_works_too(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text(without_comments(example()))
    settings = load(file, ENVIRON, CHECKS).settings
    providers = [source.provider for source in settings.sources.values()]
    assert providers == ["contentful", "cloudinary", "sanity", "standard-webhooks", "aws-sns"]
    rules = settings.sources["cms"].rules
    assert rules is not None
    assert len(rules[0].src_images) == 3
    defaults = Settings()
    for name in ("limits", "dispatch", "retention", "server"):
        assert getattr(settings, name) == getattr(defaults, name)


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    file = tmp_path / "relay.yaml"
    file.write_text("mine")
    with pytest.raises(CommandFailed) as caught:
        write_init(file)
    assert str(caught.value) == f"{file} is there already: give another name, or --force to overwrite it"
    assert file.read_text() == "mine"
    write_init(file, force=True)
    assert file.read_text() == example()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot be written: No such file or directory"):
        write_init(tmp_path / "none" / "relay.yaml")
