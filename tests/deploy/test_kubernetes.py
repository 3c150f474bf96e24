"""What kubectl makes of deploy/kubernetes is valid, and fits the service, its image and itself."""

from __future__ import annotations

import asyncio
import base64
import functools
import ipaddress
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml
from click.testing import CliRunner
from kubernetes_validate import utils

from service.cli.check import command as check
from service.cli.serve import GRACE_SECONDS
from service.observability.gauges import gauges
from service.observability.tracing import asked_for
from service.settings.environment import VARIABLES
from service.settings.model import Server

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
README = (FOLDER / "README.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OVERLAYS = ("standalone", "ha", "sidecar", "sidecar-socket")
ALONE = ("standalone", "ha")
BESIDE = ("sidecar", "sidecar-socket")
# The oldest that has sidecars of its own; its schemas take a second an overlay, so that two that have everything do.
OLDEST = "1.29.0"
NEWEST = kubernetes_validate.latest_version()
VALIDATED = [*((overlay, NEWEST) for overlay in OVERLAYS), ("ha", OLDEST), ("sidecar-socket", OLDEST)]
SECRETS = {
    "RELAY_VAULT_KEY": base64.urlsafe_b64encode(b"fake" * 8).decode(),
    "VERCEL_TOKEN": "vcp_fakefakefake0123456789",
    "CONTENTFUL_SECRET": "f" * 64,
    "CMS_SECRET": "whsec_" + base64.b64encode(b"fake" * 8).decode(),
    "RELAY_STORE": "postgresql://relay:fake@db.example.com:5432/relay?sslmode=verify-full&sslrootcert=system",
}
SECRETS_AT = "/run/secrets/image-relay"
STOPPED_WITHIN = 10  # seconds, as the README promises

# The lock file's own: Debian 12's is too old for components.
KUBECTL = Path(sys.executable).parent / "kubectl"

Document = dict[str, Any]


@functools.cache
def rendered(overlay: str, of: str = "") -> list[Document]:
    """What an overlay comes to; with `of`, the README's own overlay of that name, on top of that one."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = FOLDER
        if of:
            folder = Path(shutil.copytree(FOLDER, temporary, dirs_exist_ok=True))
            (text,) = re.findall(rf"<!-- tested: overlay {overlay} -->\n```yaml\n(.*?)```", README, re.DOTALL)
            (folder / "overlays" / overlay).mkdir()
            (folder / "overlays" / overlay / "kustomization.yaml").write_text(text.replace("../ha", f"../{of}"))
        done = subprocess.run(
            [KUBECTL, "kustomize", folder / "overlays" / overlay], capture_output=True, text=True, check=False
        )
    # Warnings tell of fields that are on their way out.
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


@functools.cache
def secret(overlay: str) -> Mapping[str, str]:
    """The Secret that the README's own command makes."""
    (command,) = re.findall(rf"<!-- tested: secret {overlay} -->\n```sh\n(.*?)```", README, re.DOTALL)
    script = command.rstrip() + " --dry-run=client --output json"
    environ = SECRETS | {"PATH": str(KUBECTL.parent), "KUBECONFIG": "/dev/null"}
    done = subprocess.run(["/bin/sh", "-euc", script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["metadata"]["name"] == "image-relay"
    return {key: base64.b64decode(value).decode() for key, value in made["data"].items()}


def one(overlay: str, kind: str, name: str = "") -> Document:
    (found,) = [
        document
        for document in rendered(overlay)
        if document["kind"] == kind and document["metadata"]["name"].startswith(name)
    ]
    return found


def pod(overlay: str) -> Document:
    spec: Document = one(overlay, "Deployment")["spec"]["template"]
    return spec


def containers(overlay: str) -> list[Document]:
    spec = pod(overlay)["spec"]
    return [*spec["containers"], *spec.get("initContainers", [])]


def relay(overlay: str) -> Document:
    (found,) = [container for container in containers(overlay) if container["name"] == "relay"]
    return found


def environment(overlay: str) -> dict[str, str]:
    """What the relay's container is given, secrets looked up."""
    keys = secret(overlay)
    return {
        entry["name"]: entry["value"] if "value" in entry else keys[entry["valueFrom"]["secretKeyRef"]["key"]]
        for entry in relay(overlay)["env"]
    }


def configuration(overlay: str) -> str:
    text: str = one(overlay, "ConfigMap", "image-relay")["data"]["relay.yaml"]
    return text


@pytest.fixture(scope="module", autouse=True)
def schemas_once() -> Iterator[None]:
    """A version's definitions are megabytes, which the package would read anew for each document."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


@pytest.mark.parametrize(("overlay", "version"), VALIDATED)
def test_the_schemas_hold(overlay: str, version: str) -> None:
    for document in rendered(overlay):
        assert kubernetes_validate.validate(document, version, strict=True) == version.rpartition(".")[0]


def test_the_schemas_are_strict() -> None:
    document = json.loads(json.dumps(one("standalone", "Deployment")))
    document["spec"]["template"]["spec"]["containers"][0]["lifeCycle"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, NEWEST, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_read(overlay: str) -> None:
    assert set(environment(overlay)) <= {*VARIABLES, "RELAY_CONFIG"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_configuration_is_right(overlay: str, tmp_path: Path) -> None:
    for key, value in secret(overlay).items():
        (tmp_path / key).write_text(value)
    (tmp_path / "relay.yaml").write_text(configuration(overlay).replace(SECRETS_AT, str(tmp_path)))
    told = environment(overlay)
    assert told["RELAY_CONFIG"] == "/etc/relay/relay.yaml"
    done = CliRunner().invoke(check, [], env=told | {"RELAY_CONFIG": str(tmp_path / "relay.yaml")})
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_secret_has_what_is_asked_for_and_no_more(overlay: str) -> None:
    files = re.findall(rf"file: {SECRETS_AT}/([a-z-]+)", configuration(overlay))
    references = [
        entry["valueFrom"]["secretKeyRef"]
        for c in containers(overlay)
        for entry in c.get("env", [])
        if "valueFrom" in entry
    ]
    assert all(reference["name"] == "image-relay" for reference in references)
    assert {*files, *(reference["key"] for reference in references)} == set(secret(overlay))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_is_mounted_exists(overlay: str) -> None:
    volumes = {volume["name"]: volume for volume in pod(overlay)["spec"]["volumes"]}
    mounts = [mount for container in containers(overlay) for mount in container.get("volumeMounts", [])]
    assert {mount["name"] for mount in mounts} == set(volumes)
    by_name = {(document["kind"], document["metadata"]["name"]) for document in rendered(overlay)}
    for volume in volumes.values():
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in by_name
        if "persistentVolumeClaim" in volume:
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in by_name
        if "secret" in volume:
            assert volume["secret"]["secretName"] == "image-relay"
    places = {mount["mountPath"]: mount for mount in relay(overlay)["volumeMounts"]}
    (data,) = re.findall(r"(?m)^VOLUME (.*)$", DOCKERFILE)
    assert {data, "/tmp", "/etc/relay", SECRETS_AT} <= set(places)  # noqa: S108 - in the container
    assert {place for place, mount in places.items() if mount.get("readOnly")} == {"/etc/relay", SECRETS_AT}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_may_do_nothing_that_is_not_needed(overlay: str) -> None:
    whole = pod(overlay)["spec"]
    container = relay(overlay)
    context = whole.get("securityContext", {}) | container["securityContext"]
    (user, group) = re.findall(r"(?m)^USER (\d+):(\d+)$", DOCKERFILE)[0]
    allowed = {name: context[name] for name in context if not name.startswith("fsGroup")}
    assert allowed == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "runAsGroup": int(group),
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(whole)
    assert all("hostPath" not in volume for volume in whole["volumes"])


@pytest.mark.parametrize("overlay", ALONE)
def test_a_pod_of_its_own(overlay: str) -> None:
    whole = pod(overlay)["spec"]
    assert whole["automountServiceAccountToken"] is False
    assert whole["serviceAccountName"] == one(overlay, "ServiceAccount")["metadata"]["name"]
    # A Service named `relay` would set RELAY_PORT.
    assert whole["enableServiceLinks"] is False
    (secrets,) = [volume["secret"] for volume in whole["volumes"] if volume["name"] == "secrets"]
    # The group may read them, which is the relay's by fsGroup.
    assert secrets["defaultMode"] == 0o440
    assert whole["securityContext"]["fsGroup"] == relay_group()


def relay_group() -> int:
    return int(re.findall(r"(?m)^USER \d+:(\d+)$", DOCKERFILE)[0])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_probes_ask_what_is_there(overlay: str) -> None:
    container = relay(overlay)
    probes = {name: container[name] for name in container if name.endswith("Probe")}
    assert set(probes) >= {"startupProbe", "livenessProbe"}
    app = (ROOT / "service" / "app.py").read_text()
    for name, probe in probes.items():
        if "httpGet" in probe:
            assert f'Route("{probe["httpGet"]["path"]}"' in app
            assert probe["httpGet"]["port"] == "http"
        else:
            # On loopback and sockets, where the kubelet does not reach it, the relay's own command asks.
            program, *arguments = probe["exec"]["command"]
            assert program == "image-relay"
            assert arguments == (["ping", "--live"] if name == "livenessProbe" else ["ping"])
            assert probe["timeoutSeconds"] > 5  # which `ping` itself takes to give up
    if overlay in ALONE:
        assert probes["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz"
        (port,) = container["ports"]
        (exposed,) = re.findall(r"(?m)^EXPOSE (.*)$", DOCKERFILE)
        assert (port["name"], port["containerPort"]) == ("http", int(exposed)) == ("http", Server().port)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_time_to_stop(overlay: str) -> None:
    assert GRACE_SECONDS < STOPPED_WITHIN
    whole = pod(overlay)["spec"]
    waits = [int(c["lifecycle"]["preStop"]["exec"]["command"][1]) for c in containers(overlay) if "lifecycle" in c]
    assert whole["terminationGracePeriodSeconds"] >= max(waits, default=0) + STOPPED_WITHIN + 5
    if overlay in ALONE:
        assert relay(overlay)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_memory_is_what_was_measured(overlay: str) -> None:
    (idle,) = re.findall(r"\| idle RSS, MB, SQLite \| ([\d.]+) \| Starlette", (ROOT / "README.md").read_text())
    resources = relay(overlay)["resources"]
    asked, most = (int(resources[side]["memory"].removesuffix("Mi")) * 1.048576 for side in ("requests", "limits"))
    assert float(idle) * 1.2 <= asked <= float(idle) * 2
    assert most >= float(idle) * 3
    # A limit would throttle the relay while senders wait.
    assert "cpu" not in resources["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_image_is_the_one_with_what_the_store_needs(overlay: str) -> None:
    store = environment(overlay).get("RELAY_STORE") or yaml.safe_load(configuration(overlay))["store"]
    wanted = "postgres" if store.startswith("postgresql:") else "sqlite"
    assert relay(overlay)["image"] == f"registry.example.com/vercel-image-relay:{wanted}"
    assert f"vercel-image-relay:{wanted}" in "".join(
        (ROOT / "deploy" / "compose" / name).read_text() for name in ("compose.yaml", "compose.postgres.yaml")
    )
    if wanted == "sqlite":
        places = [mount["mountPath"] for mount in relay(overlay)["volumeMounts"]]
        assert str(Path(store.removeprefix("sqlite:///")).parent) in places


@pytest.mark.parametrize("overlay", ALONE)
def test_senders_reach_the_hooks_alone(overlay: str) -> None:
    labels = pod(overlay)["metadata"]["labels"]
    service, ingress = one(overlay, "Service"), one(overlay, "Ingress")
    deployment = one(overlay, "Deployment")
    assert service["spec"]["selector"].items() <= labels.items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] == "http"
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/hooks", "Prefix")
    backend = path["backend"]["service"]
    assert (backend["name"], backend["port"]["name"]) == (service["metadata"]["name"], port["name"])
    # Some senders sign the URL: that of relay.yaml is the one they are let in by.
    assert yaml.safe_load(configuration(overlay))["public_url"] == f"https://{rule['host']}"
    assert [rule["host"]] == ingress["spec"]["tls"][0]["hosts"]


def lets_out(
    documents: Sequence[Document],
    port: int,
    *,
    address: str = "",
    labels: Mapping[str, str] | None = None,
    space: str = "own",
) -> bool:
    """Whether the policies for the relay's pods let out to an address, or to a pod of a namespace."""
    (own,) = [d["spec"]["template"]["metadata"]["labels"] for d in documents if d["kind"] == "Deployment"]
    policies = [d["spec"] for d in documents if d["kind"] == "NetworkPolicy"]
    for policy in policies:
        assert policy["podSelector"]["matchLabels"].items() <= own.items()
        for rule in policy.get("egress", []):
            if port in [one["port"] for one in rule["ports"]] and any(
                reaches(peer, address, labels or {}, space) for peer in rule["to"]
            ):
                return True
    return False


def reaches(peer: Mapping[str, Any], address: str, labels: Mapping[str, str], space: str) -> bool:
    if block := peer.get("ipBlock"):
        networks = [block["cidr"], *block.get("except", [])]
        inside = [bool(address) and ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in networks]
        return inside[0] and not any(inside[1:])
    spaces = peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name", "own")
    wanted: Mapping[str, str] = peer["podSelector"]["matchLabels"]
    return not address and spaces == space and wanted.items() <= labels.items()


@pytest.mark.parametrize(
    ("address", "port", "goes"),
    [
        ("76.76.21.112", 443, True),
        ("2606:4700::1", 443, True),
        ("76.76.21.112", 80, False),
        ("76.76.21.112", 5432, False),
        ("169.254.169.254", 443, False),
        ("10.96.0.1", 443, False),
        ("172.20.0.1", 443, False),
        ("192.168.1.1", 443, False),
        ("fd00:ec2::254", 443, False),
        ("fe80::1", 443, False),
    ],
)
@pytest.mark.parametrize("overlay", ALONE)
def test_it_is_let_out_to_public_https_alone(overlay: str, address: str, port: int, goes: bool) -> None:
    assert lets_out(rendered(overlay), port, address=address) is goes


@pytest.mark.parametrize("overlay", ALONE)
def test_it_is_let_out_to_names_and_the_database(overlay: str) -> None:
    for document in rendered(overlay):
        if document["kind"] == "NetworkPolicy":
            assert "Egress" in document["spec"]["policyTypes"]
    names = {"k8s-app": "kube-dns", "pod-template-hash": "1"}
    assert lets_out(rendered(overlay), 53, labels=names, space="kube-system")
    assert not lets_out(rendered(overlay), 53, labels=names)
    assert not lets_out(rendered(overlay), 443, labels=names, space="kube-system")
    database = {"app.kubernetes.io/name": "postgresql"}
    assert lets_out(rendered(overlay), 5432, labels=database) is (overlay == "ha")
    assert not lets_out(rendered(overlay), 5432, labels={"app.kubernetes.io/name": "mysql"})


@pytest.mark.parametrize("overlay", ALONE)
def test_traces_get_out_to_the_collector_and_nothing_else_changes(overlay: str) -> None:
    traced = rendered("traced", of=overlay)
    for document in traced:
        kubernetes_validate.validate(document, NEWEST, strict=True)
    (container,) = [c for d in traced if d["kind"] == "Deployment" for c in d["spec"]["template"]["spec"]["containers"]]
    told = {entry["name"]: entry["value"] for entry in container["env"] if entry["name"].startswith("OTEL_")}
    assert asked_for(told)
    (address,) = told.values()
    service, port = urlsplit(address).hostname or "", urlsplit(address).port or 0
    name, space = service.split(".")
    collector = {"app.kubernetes.io/name": name}
    assert lets_out(traced, port, labels=collector, space=space)
    assert not lets_out(rendered(overlay), port, labels=collector, space=space)
    assert not lets_out(traced, port, labels=collector)
    assert not lets_out(traced, port, labels={"app.kubernetes.io/name": "postgresql"}, space=space)
    assert not lets_out(traced, port, address="76.76.21.112")
    # Without the variable and the policy it is the overlay.
    container["env"] = [entry for entry in container["env"] if entry["name"] not in told]
    assert [d for d in traced if d["metadata"]["name"] != "image-relay-collector"] == rendered(overlay)


@pytest.mark.parametrize("overlay", ALONE)
def test_whoever_may_connect_has_the_readmes_label(overlay: str) -> None:
    (rule,) = (
        one(overlay, "NetworkPolicy", "image-relay")["spec"]["ingress"]
        if overlay == "standalone"
        else [rule for d in rendered(overlay) if d["kind"] == "NetworkPolicy" for rule in d["spec"].get("ingress", [])]
    )
    (peer,) = rule["from"]
    ((name, value),) = peer["namespaceSelector"]["matchLabels"].items()
    assert f"{name}={value}" in README
    assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]


def test_standalone_never_has_two() -> None:
    spec = one("standalone", "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    (data,) = [volume for volume in spec["template"]["spec"]["volumes"] if volume["name"] == "data"]
    assert set(data) == {"name", "persistentVolumeClaim"}
    assert one("standalone", "PersistentVolumeClaim")["spec"]["accessModes"] == ["ReadWriteOncePod"]


def test_ha_keeps_enough() -> None:
    deployment, budget = one("ha", "Deployment")["spec"], one("ha", "PodDisruptionBudget")["spec"]
    autoscaler = one("ha", "HorizontalPodAutoscaler")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["replicas"] == 3 == autoscaler["minReplicas"] < autoscaler["maxReplicas"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["maxUnavailable"] == 1
    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "image-relay"}
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert [one["topologyKey"] for one in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert all(one["labelSelector"]["matchLabels"].items() <= labels.items() for one in spread)


class Nothing:
    """A store with nothing in it."""

    async def backlog(self) -> Sequence[Any]:
        return []

    async def holds(self) -> Mapping[str, object]:
        return {}

    async def failing(self) -> Sequence[Any]:
        return []


def test_the_autoscaler_asks_for_what_the_relay_tells() -> None:
    (rule,) = yaml.safe_load((FOLDER / "overlays" / "ha" / "prometheus-adapter.yaml").read_text())["externalRules"]
    external = [
        m["external"] for m in one("ha", "HorizontalPodAutoscaler")["spec"]["metrics"] if m["type"] == "External"
    ]
    assert [metric["metric"]["name"] for metric in external] == [rule["name"]["as"]]
    nothing = Nothing()
    told = {
        gauge.name: set(gauge.labels)
        for gauge in asyncio.run(gauges(nothing, nothing, nothing, ["shop"], datetime.now(UTC)))
    }
    asked = set(re.findall(r"relay_[a-z_]+", rule["metricsQuery"] + rule["seriesQuery"]))
    assert asked == {"relay_oldest_pending_purge_age_seconds", "relay_project_held"}
    for metric in asked:
        assert "project" in told[metric]


def test_a_sidecar_is_the_same_relay() -> None:
    alone = relay("standalone")
    for overlay in BESIDE:
        beside = relay(overlay)
        assert beside in pod(overlay)["spec"]["initContainers"]
        assert beside["restartPolicy"] == "Always"
        assert beside["resources"] == alone["resources"]
        # Its own container says all of it: the pod is somebody else's.
        assert "securityContext" not in pod(overlay)["spec"]
        assert environment(overlay)["RELAY_HOST"] == "127.0.0.1"
        assert environment(overlay)["RELAY_PORT"] == str(Server().port)
        volumes = {volume["name"]: volume for volume in pod(overlay)["spec"]["volumes"]}
        assert volumes["relay-secrets"]["secret"]["defaultMode"] == 0o444
        assert "emptyDir" in volumes["relay-data"]


def test_the_cms_and_its_sidecar_agree() -> None:
    (cms,) = [container for container in containers("sidecar") if container["name"] == "cms"]
    told = {entry["name"]: entry for entry in cms["env"]}
    source = yaml.safe_load(configuration("sidecar"))["sources"]["cms"]
    assert told["RELAY_URL"]["value"] == f"http://127.0.0.1:{environment('sidecar')['RELAY_PORT']}/hooks/cms"
    key = told["RELAY_SECRET"]["valueFrom"]["secretKeyRef"]["key"]
    assert source["secrets"] == [{"file": f"{SECRETS_AT}/{key}"}]
    # Of the shared volume it sees its own secret, and not the token.
    (mount,) = cms["volumeMounts"]
    assert mount["subPath"] == key
    assert mount["mountPath"] == f"{SECRETS_AT}/{key}"


def test_the_proxy_and_its_sidecar_share_the_socket() -> None:
    (proxy,) = [container for container in containers("sidecar-socket") if container["name"] == "proxy"]
    socket = environment("sidecar-socket")["RELAY_UDS"]
    configuration_of_proxy = one("sidecar-socket", "ConfigMap", "proxy")["data"]["nginx.conf"]
    assert f"http://unix:{socket};" in configuration_of_proxy
    places = [
        [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "relay-socket"]
        for container in (proxy, relay("sidecar-socket"))
    ]
    assert places == [[str(Path(socket).parent)]] * 2
    (port,) = proxy["ports"]
    assert f"listen {port['containerPort']};" in configuration_of_proxy


def test_what_the_readme_applies_is_there() -> None:
    (block,) = re.findall(r"<!-- tested: apply -->\n```sh\n(.*?)```", README, re.DOTALL)
    assert (ROOT / re.findall(r"--kustomize (\S+)", block)[0] / "kustomization.yaml").exists()
    assert "deployment/" + one("standalone", "Deployment")["metadata"]["name"] in block
    assert f"--container {relay('standalone')['name']} -- image-relay doctor" in block
    assert {name for name in OVERLAYS if f"[{name}](overlays/{name}/kustomization.yaml)" in README} == set(OVERLAYS)
