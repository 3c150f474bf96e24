"""The image, run as containers are: by an OCI runtime, its own user, on a read-only root, without capabilities."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from image.podman import LOCKED, ROOT, build, container, podman, run_once, volume
from packaging.markers import Marker
from support.buckets import free_port
from support.loopback import serve
from support.postgres import own_server
from support.process import SECRET_BASE64, TOKEN, eventually, write_config
from support.webhooks import replaced, signed

from service.testing.fake_answers import Answer
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

LOCK = "requirements.lock"
IMAGE = "https://img.example.com/products/shoe.jpg"


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel(tokens=[TOKEN], projects=["my-shop"])
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


@pytest.fixture
def data() -> Iterator[str]:
    with volume() as name:
        yield name


def environment(vercel: str, port: int) -> list[str]:
    """One source and one project, without a file."""
    given = {
        "RELAY_PROVIDER": "standard-webhooks",
        "RELAY_SECRET": f"whsec_{SECRET_BASE64}",
        "RELAY_VERCEL_PROJECT": "my-shop",
        "RELAY_VERCEL_TOKEN": TOKEN,
        "RELAY_VERCEL_API": vercel,
        "RELAY_HOST": "127.0.0.1",
        "RELAY_PORT": str(port),
    }
    return [f"--env={name}={value}" for name, value in given.items()]


def send(address: str, number: int = 1, hook: str = "standard-webhooks", image: str = IMAGE) -> str:
    """A deletion, which is purged without settling; what the relay made of it."""
    body = replaced(f"asset-{number}", image, event="asset.deleted")
    answer = httpx.post(f"{address}/hooks/{hook}", content=body, headers=signed(f"msg_{number}", body), timeout=15)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


def purged(fake: FakeVercel) -> list[str]:
    return [image for call in fake.calls if call["status"] == 200 for image in call["body"]["srcImages"]]


def inspected(image: str) -> Any:
    (document,) = json.loads(podman("image", "inspect", image))
    return document


def test_what_the_image_says_of_itself(image: str) -> None:
    document = inspected(image)
    config = document["Config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("10001:10001", ["image-relay"], ["serve"])
    assert (config["StopSignal"], list(config["Volumes"])) == ("SIGTERM", ["/var/lib/relay"])
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert document["HealthCheck" if "HealthCheck" in document else "Healthcheck"]["Test"] == [
        "CMD",
        "image-relay",
        "ping",
    ]
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == "vercel-image-relay"
    assert labels["licenses"] == "MIT"
    assert labels["base.name"] == "localhost/relay-base"


def test_a_webhook_is_purged_from_the_environment_alone(image: str, vercel: tuple[FakeVercel, str], data: str) -> None:
    fake, url = vercel
    port = free_port()
    given = (*LOCKED, f"--volume={data}:/var/lib/relay", *environment(url, port))
    with container(image, *given) as relay:
        relay.up()
        assert send(f"http://127.0.0.1:{port}") == "accepted"
        eventually(lambda: purged(fake) == [IMAGE], 20, "the purge arrived")

        assert relay.execute("id", "--user").strip() == "10001"
        assert relay.execute("cat", "/proc/1/comm").strip() == "image-relay"
        assert re.findall(r"(?m)^Cap(?:Prm|Eff|Bnd):\t0+$", relay.execute("cat", "/proc/1/status")).__len__() == 3
        assert "Read-only" in relay.execute("touch", "/opt/relay/new", check=False)
        assert '"event":"webhook.received"' in relay.output.replace(": ", ":")
        assert relay.stop() == 0
        assert not relay.healthy()
    # The next one finds what is stored.
    listed = run_once(image, *given, command=("receipts", "list", "--json"))
    assert [row["source"] for row in json.loads(listed.stdout)] == ["standard-webhooks"], listed


def test_a_call_in_flight_is_finished_when_it_is_stopped(
    image: str, vercel: tuple[FakeVercel, str], data: str, tmp_path: Path
) -> None:
    fake, url = vercel
    port = free_port()
    tmp_path.chmod(0o755)
    write_config(tmp_path, url).chmod(0o644)
    mounts = (f"--volume={data}:/var/lib/relay", f"--volume={tmp_path}/relay.yaml:/var/lib/relay/relay.yaml:ro")
    where = ("--env=RELAY_HOST=127.0.0.1", f"--env=RELAY_PORT={port}")
    fake.script(Answer(status=200, seconds=2))
    with container(image, *LOCKED, *mounts, *where) as relay:
        relay.up()
        send(f"http://127.0.0.1:{port}", hook="hook")
        eventually(lambda: len(fake.calls) == 1, 20, "Vercel is being called")
        began = time.monotonic()
        assert relay.stop() == 0
        assert 1.0 < time.monotonic() - began < 10
    assert purged(fake) == [IMAGE]


def test_it_listens_on_a_socket_in_a_shared_folder(image: str, vercel: tuple[FakeVercel, str], data: str) -> None:
    fake, url = vercel
    with volume() as shared:
        mounts = (f"--volume={data}:/var/lib/relay", f"--volume={shared}:/run/relay")
        uds = "--env=RELAY_UDS=/run/relay/relay.sock"
        with container(image, *LOCKED, *mounts, *environment(url, 1), uds) as relay:
            relay.up()
            # The neighbour: another container, which shares the folder.
            body = replaced("asset-1", IMAGE, event="asset.deleted")
            script = (
                "import http.client, json, socket, sys\n"
                "given = json.load(sys.stdin)\n"
                "connection = http.client.HTTPConnection('localhost')\n"
                "connection.sock = socket.socket(socket.AF_UNIX)\n"
                "connection.sock.connect('/run/relay/relay.sock')\n"
                "connection.request('POST', '/hooks/standard-webhooks', given['body'], given['headers'])\n"
                "print(connection.getresponse().read().decode())\n"
            ).replace("json.load(sys.stdin)", repr({"body": body, "headers": signed("msg_1", body)}))
            options = (*LOCKED, "--user=12345", f"--volume={shared}:/run/relay", "--entrypoint=python3")
            answer = run_once(image, *options, command=("-c", script))
            assert '"accepted"' in answer.stdout, answer
            eventually(lambda: purged(fake) == [IMAGE], 20, "the purge arrived")
            assert relay.stop() == 0


def test_several_workers_need_no_more_than_a_tmpfs(image: str, vercel: tuple[FakeVercel, str], data: str) -> None:
    fake, url = vercel
    port = free_port()
    options = (*LOCKED, "--tmpfs=/tmp", f"--volume={data}:/var/lib/relay", *environment(url, port))
    with container(image, *options, command=("serve", "--workers", "2")) as relay:
        relay.up()
        images = [f"{IMAGE}?{number}" for number in range(5)]
        for number, one in enumerate(images):
            send(f"http://127.0.0.1:{port}", number, image=one)
        eventually(lambda: sorted(purged(fake)) == images, 20, "the purges arrived")
        assert relay.stop() == 0


def test_a_wrong_configuration_ends_it_with_every_error(image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "relay.yaml"
    file.write_text("projects:\n  shop: {projekt: my-shop}\nsources:\n  cms: {provider: contentfull}\n")
    file.chmod(0o644)
    done = run_once(image, *LOCKED, f"--volume={file}:/var/lib/relay/relay.yaml:ro")
    assert done.returncode == 1
    for named in ("projekt", "contentfull"):
        assert named in done.stderr


def test_the_database_is_on_the_volume_though_relay_yaml_is_elsewhere(
    image: str, vercel: tuple[FakeVercel, str], data: str, tmp_path: Path
) -> None:
    """As Kubernetes mounts it: a folder with the file, and one with the secrets, neither to be written."""
    fake, url = vercel
    port = free_port()
    etc, secrets = tmp_path / "etc", tmp_path / "secrets"
    for folder in (tmp_path, etc, secrets):
        folder.mkdir(mode=0o755, exist_ok=True)
        folder.chmod(0o755)
    (secrets / "token").write_text(f"{TOKEN}\n")
    token = "shop: {project: my-shop, token: {file: /run/secrets/relay/token}}\n"
    file = write_config(etc, url, projects=token)
    options = [f"--volume={etc}:/etc/relay:ro", f"--volume={secrets}:/run/secrets/relay:ro"]
    options += ["--env=RELAY_CONFIG=/etc/relay/relay.yaml", "--env=RELAY_HOST=127.0.0.1", f"--env=RELAY_PORT={port}"]
    options += [f"--volume={data}:/var/lib/relay"]
    file.write_text(file.read_text().replace("store: sqlite:///relay.db\n", ""))
    with container(image, *LOCKED, *options) as relay:
        relay.up()
        send(f"http://127.0.0.1:{port}", hook="hook")
        eventually(lambda: purged(fake) == [IMAGE], 20, "the purge arrived")
        assert "/var/lib/relay/relay.db" in relay.execute("ls", "/var/lib/relay/relay.db")
        assert relay.stop() == 0


def test_nothing_is_compiled_at_a_start(image: str) -> None:
    """What `serve` imports, ours, others' and the standard library's, has its bytecode in the image."""
    code = (
        "import sys, os, service.cli.serve, service.providers.registry, service.store.sqlite\n"
        "files = [m.__cached__ for m in list(sys.modules.values()) if getattr(m, '__cached__', None)]\n"
        "print(len(files), [f for f in files if not os.path.exists(f)])"
    )
    done = run_once(image, *LOCKED, "--entrypoint=python", command=("-c", code))
    count, _, missing = done.stdout.strip().partition(" ")
    assert int(count) > 400, done
    assert missing == "[]"


def test_only_the_volume_and_scratch_may_be_written(image: str) -> None:
    looked = run_once(image, "--entrypoint=find", command=("/", "-xdev", "-writable", "-not", "-type", "l"))
    assert set(looked.stdout.split()) <= {"/tmp", "/var/tmp", "/run/relay", "/var/lib/relay", "/run/lock"}  # noqa: S108 - compared, not used
    assert run_once(image, "--entrypoint=sh", command=("-c", "ls /opt/relay/bin/pip*")).returncode != 0


def locked(python: str, *names: str) -> dict[str, str]:
    """Package → version, as the lock files have them for Linux and this Python."""
    text = "".join((ROOT / name).read_text() for name in names)
    found = re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^ ]+)(?: ; ([^\\\n]*))?", text)
    short = python.rpartition(".")[0]
    there = {"python_full_version": python, "python_version": short, "sys_platform": "linux"}
    return {name: version for name, version, marker in found if not marker or Marker(marker).evaluate(there)}


def components(document: Any) -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in document["components"]}


def test_the_sbom_is_of_what_is_installed(image: str, tmp_path: Path) -> None:
    read = run_once(image, "--entrypoint=cat", command=("/usr/share/doc/vercel-image-relay/sbom.cdx.json",))
    document = json.loads(read.stdout)
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "vercel-image-relay")
    found = components(document)
    expected = locked(run_once(image, "--entrypoint=python", command=("--version",)).stdout.split()[1], LOCK)
    assert {name: found.get(name) for name in expected} == expected
    assert set(found) - set(expected) <= {"vercel-image-relay"}
    assert all(one.get("purl", "").startswith("pkg:pypi/") for one in document["components"])
    code = "import importlib.metadata as m; print(*{d.name + '==' + d.version for d in m.distributions()})"
    installed = run_once(image, "--entrypoint=python", command=("-c", code)).stdout.split()
    names = {re.sub(r"[-_.]+", "-", one).lower() for one in (line.partition("==")[0] for line in installed)}
    assert names - {"vercel-image-relay"} == set(expected)
    # And it can be had without the image.
    build("localhost/image-relay-sbom", "--target=sbom", f"--output=type=local,dest={tmp_path}")
    assert components(json.loads((tmp_path / "sbom.cdx.json").read_text())) == found


def test_with_extras_it_works_on_postgresql(image_with_extras: str, vercel: tuple[FakeVercel, str]) -> None:
    fake, url = vercel
    port = free_port()
    with own_server() as database:
        # The socket alone: nobody else may enter the server's folder.
        socket = f"--volume={database.socket}:/srv/.s.PGSQL.5432"
        options = (*environment(url, port), "--env=RELAY_STORE=postgresql://postgres@/postgres?host=/srv", socket)
        with container(image_with_extras, *LOCKED, *options) as relay:
            relay.up()
            assert send(f"http://127.0.0.1:{port}") == "accepted"
            eventually(lambda: purged(fake) == [IMAGE], 20, "the purge arrived")
            assert "opentelemetry" in relay.execute("python", "-c", "import opentelemetry.sdk as s; print(s.__name__)")
            assert relay.stop() == 0


def test_without_them_it_says_what_to_do(image: str) -> None:
    options = (
        *environment("http://127.0.0.1:9", free_port()),
        "--env=RELAY_STORE=postgresql://relay@127.0.0.1:9/relay",
    )
    done = run_once(image, *LOCKED, *options)
    assert done.returncode == 1
    assert "vercel-image-relay[postgres]" in done.stderr, done
