"""Every recipe of the cookbook: its source, its events, and what they lead to."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from docs.pages import ROOT, Block, blocks, joined
from support.commands import CONFIG, NOW, SECRET, TOKEN, Done, Relay

from service.providers.base import Sample

PAGE = ROOT / "service/rules/COOKBOOK.md"
SECTIONS = {
    section.partition("\n")[0]: section
    for section in re.split(r"(?m)^## ", PAGE.read_text())[1:]
    if "<!-- recipe -->" in section
}


def purge(one: dict[str, object], words: int) -> str:
    """As the page writes it: the image, and before it what the recipe is about."""
    said = [str(one["project"])] if one["project"] != "shop" else []
    if words > len(said):
        deadline = one["revalidation_deadline_seconds"]
        said += [str(one["action"])] + ([] if deadline is None else [str(deadline)])
    return " ".join([*said, str(one["src_image"])])


@pytest.mark.parametrize("name", SECTIONS)
def test_recipe(name: str, tmp_path: Path) -> None:
    section = SECTIONS[name]
    relay = Relay(tmp_path)
    parts = list(blocks(section))
    (recipe,) = [part.text for part in parts if part.label == "recipe"]
    for part in parts:
        if part.label.startswith("file: "):
            (tmp_path / part.label.removeprefix("file: ")).write_text(part.text)
    source = yaml.safe_load(recipe.replace("${CMS_SECRET}", SECRET))
    projects = {project: {"project": project, "token": TOKEN} for project in source["cms"].get("projects", ["shop"])}
    relay.write(yaml.safe_dump({"projects": projects, "sources": source}, sort_keys=False))
    assert relay.run("--config", relay.config, "check").code == 0
    events = [part for part in parts if part.language == "json"]
    expected = [part.text.splitlines() for part in parts if part.language == "text"]
    assert events
    for event, wanted in zip(events, expected, strict=True):
        purges = explained(relay, event)
        assert [purge(one, line.count(" ")) for one, line in zip(purges, wanted, strict=True)] == wanted


def explained(relay: Relay, event: Block) -> list[dict[str, object]]:
    """What `explain` says of the event, signed as its sender signs it."""
    name, _, value = event.label.removeprefix("with: ").partition(": ")
    body = event.text.encode()
    provider = relay.pipelines()["cms"].provider
    signed = provider.sign(Sample(body, {name: value} if name else {}), "/hooks/cms", NOW)
    (relay.folder / "event.json").write_bytes(body)
    headers = [argument for header in signed.headers for argument in ("--header", ": ".join(header))]
    path = relay.folder / "event.json"
    when = ("--at", NOW.isoformat())
    done = relay.run("--config", relay.config, "explain", "--source", "cms", "--json", *headers, *when, path)
    assert done.code == 0, done
    assert done.json["verified"] is True
    return list(done.json["purges"])


def page_commands(label: str, relay: Relay) -> list[Done]:
    """The page's own commands, one a line, in the folder of relay.yaml."""
    lines = joined(PAGE, f"tested: {label}").splitlines()
    said = [relay.run("--config", relay.config, *shlex.split(line.removeprefix("image-relay "))) for line in lines]
    assert [done.code for done in said] == [0] * len(lines), said
    return said


def test_the_first_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relay = Relay(tmp_path)
    source = "{provider: standard-webhooks, secrets: [" + SECRET + "]}"
    relay.write(f"projects: {{shop: {{project: shop, token: {TOKEN}}}}}\nsources: {{cms: {source}}}\n")
    body = '{"type": "asset.replaced", "data": {"id": "p1", "url": "https://img.example.com/p1.jpg"}}'
    (tmp_path / "event.json").write_text(body)
    (done,) = page_commands("explain", relay)
    assert '"srcImages":["https://img.example.com/p1.jpg"]' in done.out


def test_a_wrong_rule_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    relay = Relay(tmp_path)
    wrong = CONFIG.replace("{{ url }}", "/cards/{{ payload.data.slug }}")
    relay.write(wrong)
    taken = relay.take(relay.signed("https://img.example.com/products/1.jpg"))
    assert taken.status == "unmatched"
    listed, _ = page_commands("replay", relay)
    assert "slug" in listed.out
    relay.write(CONFIG)
    _, replayed = page_commands("replay", relay)
    assert "2 purges" in replayed.out
