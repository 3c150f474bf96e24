"""The Terraform modules can be parsed, refer to what is there, and make what relay.yaml is told of."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from service.cli.check import command as check

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "terraform"
README = (FOLDER / "README.md").read_text()
# Terraform's own validation asks a registry for its providers; this parser is made by `make terraform-check`.
PARSER = ROOT / ".venv-terraform" / "bin" / "python"
MODULES = ("sns", "pubsub")
SCRIPT = """
import hcl2, json, sys
print(json.dumps(hcl2.loads(sys.stdin.read())))
"""

pytestmark = pytest.mark.skipif(not PARSER.exists(), reason="run by `make terraform-check`")


def parsed(text: str) -> Any:
    done = subprocess.run([str(PARSER), "-c", SCRIPT], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return plain(json.loads(done.stdout))


def plain(value: Any) -> Any:
    """Without the parser's own marks, and the quotes that it leaves around texts."""
    if isinstance(value, dict):
        return {plain(name): plain(one) for name, one in value.items() if not name.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value


@pytest.fixture(scope="module", params=MODULES)
def module(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    texts = [file.read_text() for file in sorted((FOLDER / request.param).glob("*.tf"))]
    assert len(texts) == 3
    return request.param, parsed("\n".join(texts))


def addresses(document: dict[str, Any], part: str) -> set[str]:
    prefix = "data." if part == "data" else ""
    return {f"{prefix}{kind}.{name}" for block in document[part] for kind, named in block.items() for name in named}


def test_what_is_referred_to_is_there(module: tuple[str, dict[str, Any]]) -> None:
    _, document = module
    text = json.dumps(document)
    variables = {name for block in document["variable"] for name in block}
    assert set(re.findall(r"\bvar\.([a-z_]+)", text)) == variables
    assert set(re.findall(r"\blocal\.([a-z_]+)", text)) == {n for b in document.get("locals", []) for n in b}
    found = set(re.findall(r"(?<![\w.])((?:data\.)?(?:aws|google)_[a-z0-9_]+\.[a-z_]+)", text))
    assert found <= addresses(document, "resource") | addresses(document, "data")
    assert addresses(document, "data") <= found


def blocks(name: str, language: str) -> list[str]:
    found: list[str] = re.findall(rf"<!-- tested: {name} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found


def test_the_readme_calls_it_rightly(module: tuple[str, dict[str, Any]]) -> None:
    name, document = module
    (block,) = blocks(name, "hcl")
    call = parsed(block)["module"][0]["pictures"]
    assert (ROOT / call.pop("source")).resolve() == FOLDER / name
    variables = {key: one for entry in document["variable"] for key, one in entry.items()}
    assert set(call) <= set(variables)
    assert {key for key, one in variables.items() if "default" not in one} <= set(call)


def test_relay_yaml_lets_in_what_it_makes(module: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    name, document = module
    (block,) = blocks(name, "yaml")
    project = "projects: {shop: {project: my-shop, token: vcp_fakefakefake0123456789}}\n"
    (tmp_path / "relay.yaml").write_text(project + block)
    done = CliRunner().invoke(check, [], env={"RELAY_CONFIG": str(tmp_path / "relay.yaml")})
    assert done.exit_code == 0, done.output
    (source_name,) = yaml.safe_load(block)["sources"]
    source = yaml.safe_load(block)["sources"][source_name]
    call = parsed(blocks(name, "hcl")[0])["module"][0]["pictures"]
    defaults = {key: one.get("default") for entry in document["variable"] for key, one in entry.items()}
    assert call["source_name"] == source_name
    assert set(source["bases"]) == {call["bucket"]}
    endpoint = f"{call['relay_url']}/hooks/{source_name}"
    if name == "sns":
        assert source["topics"][0].rpartition(":")[2] == defaults["topic_name"]
        return
    assert source["auth"]["jwt"] == {
        "audience": endpoint,
        "email": f"{defaults['name']}-push@{call['project']}.iam.gserviceaccount.com",
    }
    assert source["topics"] == [f"projects/{call['project']}/subscriptions/{defaults['name']}"]
    cloud_run = yaml.safe_load((ROOT / "deploy" / "cloud-run" / "relay.yaml").read_text())
    assert cloud_run["sources"]["media"] == source


def test_amazon_signs_and_tries_again() -> None:
    document = parsed((FOLDER / "sns" / "main.tf").read_text())
    resources = {kind: one for block in document["resource"] for kind, one in block.items()}
    subscription = resources["aws_sns_topic_subscription"]["relay"]
    assert (subscription["protocol"], subscription["raw_message_delivery"]) == ("https", False)
    assert subscription["endpoint_auto_confirms"] is True
    assert resources["aws_sns_topic"]["pictures"]["signature_version"] == 2
    # Amazon allows 100 attempts within an hour.
    policy = {key: int(value) for key, value in re.findall(r"(\w+)\s*[=:]\s*(\d+)", subscription["delivery_policy"])}
    slow = policy["numRetries"] - policy["numMinDelayRetries"]
    assert policy["numRetries"] <= 100
    assert policy["numMinDelayRetries"] * policy["minDelayTarget"] + slow * policy["maxDelayTarget"] <= 3600


def test_google_pins_the_account_and_keeps_the_subscription() -> None:
    document = parsed((FOLDER / "pubsub" / "main.tf").read_text())
    resources = {kind: one for block in document["resource"] for kind, one in block.items()}
    subscription = resources["google_pubsub_subscription"]["relay"]
    assert subscription["expiration_policy"] == [{"ttl": ""}]
    (push,) = subscription["push_config"]
    assert push["push_endpoint"] == "${local.endpoint}"
    assert push["oidc_token"] == [
        {"service_account_email": "${google_service_account.push.email}", "audience": "${local.endpoint}"}
    ]
    assert 10 <= subscription["ack_deadline_seconds"] <= 600
