"""init, check, schema, providers: what needs no network and no store."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from support.commands import CONFIG, VAULT_KEY, Relay

from service.providers.registry import PROVIDERS

SECRETS = {"RELAY_VAULT_KEY": VAULT_KEY, "VERCEL_TOKEN": "vcp_fakefakefake0123456789", "CONTENTFUL_SECRET": "f" * 64}


def test_init_writes_a_file_that_check_likes(bare: Relay) -> None:
    assert "wrote relay.yaml" in bare.run("init").out
    done = bare.run("check", environ=SECRETS)
    assert (done.code, done.out, done.err) == (0, "relay.yaml is fine: 1 source, 1 project\n", "")


def test_init_overwrites_only_when_told(relay: Relay) -> None:
    assert "--force" in relay.fails("init")
    assert relay.config.read_text() == CONFIG
    assert relay.run("init", "--force").code == 0
    assert relay.config.read_text() != CONFIG


def test_init_elsewhere(bare: Relay) -> None:
    assert bare.run("init", "here.yaml").code == 0
    assert bare.run("--config", "there.yaml", "init").code == 0
    assert bare.run("init", "--config", "after.yaml").code == 0
    assert (bare.folder / "after.yaml").exists()
    assert (bare.folder / "here.yaml").read_text() == (bare.folder / "there.yaml").read_text()
    assert "No such file or directory" in bare.fails("init", "no/such/folder.yaml")


def test_check_tells_every_problem_with_its_line(bare: Relay) -> None:
    bare.write(
        """\
        projects: {shop: {}}
        sources:
          cms: {provider: contentfull, secrets: [x], oops: 1}
          hook:
            provider: standard-webhooks
            secrets: ["*"]
            rules:
              - when: asset.knd == "replaced"
              - src_images: ["{{ url | lookup('no-such.csv') }}"]
        """
    )
    done = bare.run("check")
    assert (done.code, done.out) == (1, "")
    for problem in (
        "relay.yaml:1: projects.shop.project: is missing",
        "relay.yaml:3: sources.cms.oops: ",
        "relay.yaml:6: sources.hook.secrets",
        "relay.yaml:8: sources.hook.rules[0].when: unknown attribute of asset 'knd', did you mean 'kind'?",
        "relay.yaml:9: sources.hook.rules[1].src_images[0]: lookup: ",
    ):
        assert problem in done.err
    assert len(done.err.splitlines()) == len(bare.run("check", "--json").json["problems"])


def test_check_warns_and_is_content(bare: Relay) -> None:
    bare.write("projects: {shop: {project: my-shop}}\nsources: {cms: {provider: contentful, secrets: [short]}}\n")
    done = bare.run("check")
    assert (done.code, done.out) == (0, "relay.yaml is fine: 1 source, 1 project\n")
    warnings = done.err.splitlines()
    assert (
        "Warning: relay.yaml:2: sources.cms: Contentful's signing secrets have 64 characters; one of these has not"
        in (warnings)
    )
    document = bare.run("check", "--json").json
    assert document["valid"] is True
    assert document["file"] == "relay.yaml"
    assert {"line": 1, "path": "projects.shop"}.items() <= document["warnings"][0].items()
    assert len(document["warnings"]) == len(warnings)


def test_check_warns_of_what_nobody_verifies(bare: Relay) -> None:
    bare.write(
        "projects: {shop: {project: my-shop, token: fake-fake-fake-token}}\n"
        "sources:\n"
        "  cms: {provider: ghost, unverified: true}\n"
    )
    done = bare.run("check")
    warning = "whoever knows the URL can have images purged: only behind something that verifies"
    assert (done.code, done.err.splitlines()) == (0, [f"Warning: relay.yaml:3: sources.cms.unverified: {warning}"])
    bare.write("projects: {shop: {project: my-shop}}\nsources: {cms: {provider: plain}}\n")
    done = bare.run("check")
    assert done.code == 1
    assert "sources.cms.auth: is missing: choose a credential, or spell `unverified: true`" in done.err


def test_check_in_json_when_it_is_wrong(bare: Relay) -> None:
    bare.write("oops: 1\nprojects: {}\n")
    done = bare.run("check", "--json")
    assert (done.code, done.err) == (1, "")
    assert done.json["valid"] is False
    assert done.json["problems"][0]["path"] == "oops"
    assert done.json["problems"][0]["line"] == 1


def test_check_without_a_file(bare: Relay) -> None:
    done = bare.run("check")
    assert done.code == 1
    assert done.err.startswith("relay.yaml: there is no such file")
    environ = {
        "RELAY_PROVIDER": "contentful",
        "RELAY_SECRET": "f" * 64,
        "RELAY_VERCEL_PROJECT": "my-shop",
        "RELAY_VERCEL_TOKEN": SECRETS["VERCEL_TOKEN"],
    }
    assert bare.run("check", environ=environ).out == "the environment is fine: 1 source, 1 project\n"
    assert bare.run("check", "--json", environ=environ).json["file"] is None


def test_schema_is_one(bare: Relay) -> None:
    document = bare.run("schema").json
    Draft202012Validator.check_schema(document)
    assert document["title"] == "relay.yaml"


def test_providers(bare: Relay) -> None:
    done = bare.run("providers")
    assert [line.split()[0] for line in done.out.splitlines()] == ["NAME", *sorted(PROVIDERS)]
    assert [entry["name"] for entry in bare.run("providers", "--json").json] == sorted(PROVIDERS)


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_one_provider(bare: Relay, name: str) -> None:
    document = bare.run("providers", name, "--json").json
    assert document["name"] == name
    assert document["doc_url"].startswith("https://")
    assert document["samples"]
    shown = bare.run("providers", name).out
    for event in document["samples"]:
        assert event in shown
    assert document["doc_url"] in shown
    words = " ".join(shown.split())
    guide = document["guide"]
    for text in (*guide["setup"], guide["events"], guide["covered"], guide["retries"], guide["urls"]):
        assert " ".join(text.split()) in words
    for variant, title in document["variants"].items():
        assert f"`{variant}`, {title}" in words
    assert json.dumps(document["tolerance_seconds"]).removesuffix(".0") in shown or "not signed" in shown


def test_an_unknown_provider(bare: Relay) -> None:
    assert bare.fails("providers", "contentfull") == "there is no provider 'contentfull', did you mean 'contentful'?"
    assert f"known: {', '.join(sorted(PROVIDERS))}" in bare.fails("providers", "xyzzy")
