"""The compose files fit the image, the service and each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.cli import COMMANDS
from service.settings.environment import VARIABLES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FAKE = {
    "RELAY_VAULT_KEY": "ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtZmE=",
    "VERCEL_TOKEN": "vcp_fakefakefake0123456789",
    "CONTENTFUL_SECRET": "f" * 64,
    "POSTGRES_PASSWORD": "fake pass/word@",
}


def read(name: str) -> dict[str, Any]:
    """A compose file with the variables put in as compose does, each of which has to be set."""
    text = re.sub(r"\$\{([A-Z_]+):\?[^}]*\}", lambda found: f"'{FAKE[found[1]]}'", (FOLDER / name).read_text())
    assert "${" not in text
    document: dict[str, Any] = yaml.safe_load(text)
    return document


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return read("compose.yaml")


@pytest.fixture(scope="module")
def laid_over() -> dict[str, Any]:
    return read("compose.postgres.yaml")


def variables(document: dict[str, Any]) -> dict[str, str]:
    environment: dict[str, str] = document["services"]["relay"]["environment"]
    return environment


def test_every_variable_is_read_by_somebody(alone: dict[str, Any], laid_over: dict[str, Any]) -> None:
    asked_for = set(re.findall(r"\$\{([A-Z_]+)", (FOLDER / "relay.yaml").read_text()))
    assert set(variables(alone)) == asked_for
    # libpq's own variable, and one that beats the file.
    assert set(variables(laid_over)) == {"RELAY_STORE", "PGPASSWORD"}
    assert set(variables(laid_over)) - {"PGPASSWORD"} <= set(VARIABLES)


def test_the_example_names_what_has_to_be_set() -> None:
    named = set(re.findall(r"(?m)^([A-Z_]+)=$", (FOLDER / "example.env").read_text()))
    texts = [(FOLDER / name).read_text() for name in ("compose.yaml", "compose.postgres.yaml")]
    assert named == set(FAKE) == set(re.findall(r"\$\{([A-Z_]+):\?", "".join(texts)))


def test_the_configuration_is_right(tmp_path: Path, alone: dict[str, Any], laid_over: dict[str, Any]) -> None:
    (tmp_path / "relay.yaml").write_text((FOLDER / "relay.yaml").read_text())
    known = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    for given in (variables(alone), variables(alone) | variables(laid_over)):
        done = subprocess.run(
            [sys.executable, "-m", "service", "check"],
            cwd=tmp_path,
            env=known | {"PYTHONPATH": str(ROOT)} | given,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_volumes_and_the_port_are_the_images(alone: dict[str, Any]) -> None:
    (volume,) = re.findall(r"(?m)^VOLUME (.*)$", DOCKERFILE)
    (workdir,) = re.findall(r"(?m)^WORKDIR (.*)$", DOCKERFILE.rpartition("\nFROM ")[2])
    (port,) = re.findall(r"(?m)^EXPOSE (.*)$", DOCKERFILE)
    relay = alone["services"]["relay"]
    assert relay["volumes"] == [f"data:{volume}", f"./relay.yaml:{workdir}/relay.yaml:ro"]
    assert set(alone["volumes"]) == {"data"}
    # On loopback alone: it speaks no TLS.
    assert relay["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert (FOLDER / relay["build"]["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"


def test_nothing_is_allowed_that_is_not_needed(alone: dict[str, Any]) -> None:
    relay = alone["services"]["relay"]
    assert relay["read_only"] is True
    assert relay["cap_drop"] == ["ALL"]
    assert relay["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "network_mode", "pid", "devices", "cap_add"} & set(relay)
    # The image's own health check holds: none is given here.
    assert "healthcheck" not in relay
    assert DOCKERFILE.count("HEALTHCHECK") == 1


def test_it_is_given_the_time_it_takes_to_stop(alone: dict[str, Any]) -> None:
    from service.cli.serve import GRACE_SECONDS

    assert int(alone["services"]["relay"]["stop_grace_period"].removesuffix("s")) >= GRACE_SECONDS + 2


def test_the_database_is_the_relays(laid_over: dict[str, Any]) -> None:
    relay, database = laid_over["services"]["relay"], laid_over["services"]["database"]
    owner = database["environment"]
    assert (
        relay["environment"]["RELAY_STORE"] == f"postgresql://{owner['POSTGRES_USER']}@database/{owner['POSTGRES_DB']}"
    )
    assert relay["environment"]["PGPASSWORD"] == owner["POSTGRES_PASSWORD"]
    # What the store takes is in the image, and the relay waits for the database.
    assert relay["build"]["args"] == {"EXTRAS": "postgres"}
    assert (ROOT / "requirements-postgres.lock").exists()
    assert relay["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert database["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    # From version 18 on, the folder of the versions is the volume.
    assert database["image"].startswith("postgres:18")
    assert database["volumes"] == ["database:/var/lib/postgresql"]
    assert set(laid_over["volumes"]) == {"database"}


def test_the_database_is_reached_by_the_relay_alone(laid_over: dict[str, Any]) -> None:
    assert laid_over["networks"] == {"store": {"internal": True}}
    assert laid_over["services"]["database"]["networks"] == ["store"]
    assert laid_over["services"]["relay"]["networks"] == ["default", "store"]
    assert "ports" not in laid_over["services"]["database"]


def test_an_image_with_other_contents_has_another_name(alone: dict[str, Any], laid_over: dict[str, Any]) -> None:
    assert alone["services"]["relay"]["image"] != laid_over["services"]["relay"]["image"]


def test_the_commands_name_what_is_there(alone: dict[str, Any], laid_over: dict[str, Any]) -> None:
    """`make image-test` runs them."""
    page = (ROOT / "deploy" / "CONTAINER.md").read_text()
    blocks = re.findall(r"<!-- tested: compose -->\n```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("docker compose ")]
    assert len(lines) == 7
    verbs = {"up", "exec", "logs", "stop", "run"}
    for line in lines:
        words = line.split()[2:]
        files = [words[index + 1] for index, word in enumerate(words) if word == "--file"]
        assert files in ([], ["compose.yaml", "compose.postgres.yaml"])
        rest = words[2 * len(files) :]
        assert rest[0] in verbs
        services = set(alone["services"]) | (set(laid_over["services"]) if files else set())
        named = [word for word in rest[1:] if not word.startswith("--")]
        assert rest[0] == "up" or named[0] in services, line
        assert set(named[:1]) <= services
        # What comes after a service is a command of the relay's.
        if len(named) > 1:
            command = next(word for word in named[1:] if word != "image-relay")
            assert command in COMMANDS
    for block in blocks:
        assert block.splitlines()[0] == f"cd {FOLDER.relative_to(ROOT)}"
