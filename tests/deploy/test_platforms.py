"""The files for Fly, Cloud Run, Railway and Vercel can be read, and say what the relay and its image take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml
from click.testing import CliRunner

from service.cli.check import command as check
from service.cli.serve import GRACE_SECONDS
from service.cli.serve import command as serve
from service.settings.environment import VARIABLES
from service.settings.model import Server

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (DEPLOY / "PLATFORMS.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STOPPED_WITHIN = 10  # seconds, as the README promises
# Read where there is no file, beside those that beat the file.
ALONE = {"RELAY_PROVIDER", "RELAY_SECRET", "RELAY_VERCEL_PROJECT", "RELAY_VERCEL_TOKEN", "RELAY_PUBLIC_URL"}
FAKE = {
    "RELAY_SECRET": "f" * 64,
    "RELAY_VERCEL_TOKEN": "vcp_fakefakefake0123456789",
    "VERCEL_TOKEN": "vcp_fakefakefake0123456789",
    "RELAY_STORE": "postgresql://relay:fake@db.example.com/relay",
}
# The names that the parts in use may have: one with a typing error would go unnoticed.
FLY = {
    "": {"app", "primary_region", "kill_signal", "kill_timeout", "build", "env", "http_service", "vm"},
    "build": {"dockerfile", "args"},
    "http_service": {
        *("internal_port", "force_https", "auto_stop_machines", "auto_start_machines", "min_machines_running"),
        "checks",
    },
    "checks": {"method", "path", "interval", "timeout", "grace_period"},
    "vm": {"size", "memory"},
}
RAILWAY = {
    "build": {"builder", "dockerfilePath"},
    "deploy": {
        *("healthcheckPath", "healthcheckTimeout", "restartPolicyType", "overlapSeconds", "drainingSeconds"),
    },
}


def commands(name: str) -> str:
    return "".join(re.findall(rf"<!-- tested: {name} -->\n```sh\n(.*?)```", PAGE, re.DOTALL))


def is_served(path: str) -> bool:
    return f'Route("{path}"' in (ROOT / "service" / "app.py").read_text()


def is_right(environ: dict[str, str]) -> None:
    done = CliRunner().invoke(check, [], env=environ)
    assert done.exit_code == 0, done.output


@pytest.fixture
def fly() -> dict[str, Any]:
    return tomllib.loads((DEPLOY / "fly" / "fly.toml").read_text())


def test_fly_is_told_what_it_knows(fly: dict[str, Any]) -> None:
    assert set(fly) <= FLY[""]
    assert set(fly["build"]) <= FLY["build"]
    assert set(fly["http_service"]) <= FLY["http_service"]
    (probe,) = fly["http_service"]["checks"]
    assert set(probe) == FLY["checks"]
    assert set(fly["vm"][0]) == FLY["vm"]
    assert is_served(probe["path"])


def test_fly_runs_the_image(fly: dict[str, Any]) -> None:
    assert (DEPLOY / "fly" / fly["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert fly["build"]["args"] == {"EXTRAS": "postgres"}
    assert "ARG EXTRAS" in DOCKERFILE
    assert fly["http_service"]["internal_port"] == Server().port
    assert fly["kill_signal"] == "SIGTERM"
    assert fly["kill_timeout"] >= STOPPED_WITHIN > GRACE_SECONDS
    # What falls due is sent though nobody asks.
    assert fly["http_service"]["auto_stop_machines"] == "off"
    assert fly["http_service"]["min_machines_running"] >= 1


def test_fly_is_given_the_rest_by_secrets(fly: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    secrets = re.findall(r"([A-Z_]+)=\"", commands("fly"))
    assert {*fly["env"], *secrets} <= ALONE | set(VARIABLES)
    is_right(fly["env"] | {name: FAKE[name] for name in secrets})
    assert "--config deploy/fly/fly.toml" in commands("fly")


@pytest.fixture
def cloud_run() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "cloud-run" / "service.yaml").read_text())
    assert (document["apiVersion"], document["kind"]) == ("serving.knative.dev/v1", "Service")
    assert set(document["spec"]) == {"template"}
    return document


def test_cloud_runs_pod_is_one_of_kubernetes(cloud_run: dict[str, Any]) -> None:
    """What Knative has beside it is two numbers."""
    spec = dict(cloud_run["spec"]["template"]["spec"])
    numbers = {name: spec.pop(name) for name in ("containerConcurrency", "timeoutSeconds")}
    assert all(isinstance(number, int) for number in numbers.values())
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "relay"}, "spec": spec}
    kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    annotations = {**cloud_run["metadata"]["annotations"], **cloud_run["spec"]["template"]["metadata"]["annotations"]}
    assert all(isinstance(value, str) for value in annotations.values())


def test_cloud_run_keeps_it_awake(cloud_run: dict[str, Any]) -> None:
    annotations = cloud_run["spec"]["template"]["metadata"]["annotations"]
    assert annotations["run.googleapis.com/cpu-throttling"] == "false"
    assert int(annotations["autoscaling.knative.dev/minScale"]) >= 1
    (container,) = cloud_run["spec"]["template"]["spec"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [Server().port]
    for probe in (container["startupProbe"], container["livenessProbe"]):
        assert is_served(probe["httpGet"]["path"])
        assert probe["httpGet"]["port"] == Server().port


def test_cloud_run_is_given_what_the_configuration_asks_for(cloud_run: dict[str, Any]) -> None:
    spec = cloud_run["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    given = {entry["name"]: entry for entry in container["env"]}
    file = DEPLOY / "cloud-run" / "relay.yaml"
    asked = set(re.findall(r"\$\{([A-Z_]+)\}", file.read_text()))
    assert set(given) == asked | {"RELAY_CONFIG", "RELAY_STORE"}
    is_right({name: FAKE[name] for name in asked | {"RELAY_STORE"}} | {"RELAY_CONFIG": str(file)})
    # Each secret is made by a command of the page, and the file lies where the relay looks.
    (volume,) = spec["volumes"]
    (item,) = volume["secret"]["items"]
    (mount,) = container["volumeMounts"]
    assert given["RELAY_CONFIG"]["value"] == f"{mount['mountPath']}/{item['path']}"
    secrets = {entry["valueFrom"]["secretKeyRef"]["name"] for entry in given.values() if "valueFrom" in entry}
    assert secrets | {volume["secret"]["secretName"]} == set(re.findall(r"secrets create (\S+)", commands("cloud-run")))
    for path in re.findall(r"(deploy/\S+)", commands("cloud-run")):
        assert (ROOT / path).exists()


def test_railway() -> None:
    document = json.loads((DEPLOY / "railway" / "railway.json").read_text())
    assert set(document) == {"$schema", *RAILWAY}
    for part, names in RAILWAY.items():
        assert set(document[part]) == names
    assert document["build"]["builder"] == "DOCKERFILE"
    assert (ROOT / document["build"]["dockerfilePath"]).exists()
    assert is_served(document["deploy"]["healthcheckPath"])
    assert document["deploy"]["drainingSeconds"] >= STOPPED_WITHIN
    section = PAGE.partition("## Railway")[2].partition("\n## ")[0]
    named = set(re.findall(r"RELAY_[A-Z_]+", section))
    assert named <= ALONE | set(VARIABLES)
    assert f"PORT={Server().port}" in section


def test_a_container_on_vercel() -> None:
    file = DEPLOY / "vercel-container" / "Dockerfile.vercel"
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    done = subprocess.run([hadolint, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (entry,) = re.findall(r"(?m)^ENTRYPOINT (.*)$", file.read_text())
    shell, option, script = json.loads(entry)
    assert (shell, option) == ("/bin/sh", "-c")
    told = subprocess.run(
        ["/bin/sh", "-c", script.replace("exec image-relay", "echo")],
        env={"PORT": "3000"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["serve", "--role", "ingest", "--port", "3000"]
    options = {option for parameter in serve.params for option in parameter.opts}
    assert {"--role", "--port"} <= options


def test_every_file_is_spoken_of() -> None:
    files = ["fly/fly.toml", "cloud-run/service.yaml", "cloud-run/relay.yaml", "railway/railway.json"]
    for name in [*files, "vercel-container/Dockerfile.vercel"]:
        assert f"]({name})" in PAGE
        assert (DEPLOY / name).exists()
