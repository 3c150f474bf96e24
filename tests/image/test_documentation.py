"""deploy/CONTAINER.md is true: its commands are run as they stand, `docker` being podman and buildah."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from image.podman import BASE, LIMITS, LOCKED, PODMAN, ROOT, STORE, TRUSTED, podman, podman_done, run_once
from support.buckets import free_port
from support.commands import VAULT_KEY
from support.loopback import serve
from support.process import TOKEN

from service import __version__
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

PAGE = (ROOT / "deploy" / "CONTAINER.md").read_text()
BLOCK = re.compile(r"<!-- tested: ([a-z-]+) -->\n```sh\n(.*?)```", re.DOTALL)


def blocks(name: str) -> str:
    found = "".join(text for label, text in BLOCK.findall(PAGE) if label == name)
    assert found, f"CONTAINER.md has no block for {name}"
    return found


@pytest.fixture
def vercel() -> Iterator[tuple[FakeVercel, str]]:
    fake = FakeVercel(tokens=[TOKEN], projects=["my-shop"])
    with serve(create_fake_vercel(fake)) as url:
        yield fake, url


@pytest.fixture
def environ(tmp_path: Path, vercel: tuple[FakeVercel, str]) -> dict[str, str]:
    """An operator's shell, in which `docker` does the same with what is here."""
    build = ("buildah", *STORE, "build", "--isolation=chroot", "--format=docker", "--layers", TRUSTED)
    here = (f"--env=RELAY_VERCEL_API={vercel[1]}", f"--env=RELAY_PORT={free_port()}", "--env=RELAY_HOST=127.0.0.1")
    start = (*PODMAN, "run", "--network=host", "--health-interval=disable", *LIMITS, *here)
    command = tmp_path / "bin" / "docker"
    command.parent.mkdir()
    command.write_text(
        "#!/bin/sh\nverb=$1; shift\ncase $verb in\n"
        f'build) exec {" ".join(build)} --build-arg=BASE={BASE} "$@" ;;\n'
        f'run) exec {" ".join(start)} "$@" ;;\n'
        f'*) exec {" ".join(PODMAN)} "$verb" "$@" ;;\nesac\n'
    )
    command.chmod(0o755)
    known = {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}
    return known | {
        "PATH": f"{command.parent}:{known['PATH']}",
        "RELAY_VAULT_KEY": VAULT_KEY,
        "VERCEL_TOKEN": TOKEN,
        "CONTENTFUL_SECRET": "f" * 64,
    }


@pytest.fixture
def nothing_left(image: str) -> Iterator[None]:
    """The names that the page gives are free, before and after."""
    podman("tag", image, "localhost/vercel-image-relay")
    yield
    podman_done("rm", "--force", "--time=0", "relay")
    podman_done("volume", "rm", "--force", "relay-data")


def script(folder: Path, text: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", text],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def labels(image: str) -> dict[str, str]:
    (document,) = json.loads(podman("image", "inspect", image))
    found: dict[str, str] = document["Config"]["Labels"]
    return {name.removeprefix("org.opencontainers.image."): value for name, value in found.items()}


def told_version(image: str) -> str:
    return run_once(image, *LOCKED, command=("--version",)).stdout.strip()


def test_the_commands_that_build(image: str, image_with_extras: str, tmp_path: Path, environ: dict[str, str]) -> None:
    script(ROOT, blocks("build"), environ)
    assert labels("localhost/vercel-image-relay")["title"] == "vercel-image-relay"
    # Nobody said of what commit it is.
    assert told_version("localhost/vercel-image-relay") == f"image-relay {__version__}"
    # Where git does not trust a folder of another owner, this one has to be named.
    trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": str(ROOT)}
    script(ROOT, blocks("build-extras"), environ | trusted)
    found = labels("localhost/vercel-image-relay:extras")
    assert found["version"] == __version__
    assert re.fullmatch(r"[0-9a-f]{40}", found["revision"])
    assert (
        told_version("localhost/vercel-image-relay:extras") == f"image-relay {__version__} ({found['revision'][:12]})"
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+", found["created"])
    command = blocks("build-sbom").replace("dest=sbom", f"dest={tmp_path}/sbom")
    script(ROOT, command, environ)
    assert json.loads((tmp_path / "sbom" / "sbom.cdx.json").read_text())["specVersion"] == "1.6"


@pytest.mark.usefixtures("nothing_left")
def test_the_environment_alone(tmp_path: Path, environ: dict[str, str]) -> None:
    ready = "docker exec relay image-relay ping --wait 20\ndocker stop relay"
    assert "ready" in script(tmp_path, f"{blocks('run-environment')}{ready}", environ)


@pytest.mark.usefixtures("nothing_left")
def test_a_file_and_the_commands_beside_it(
    tmp_path: Path, environ: dict[str, str], vercel: tuple[FakeVercel, str]
) -> None:
    tmp_path.chmod(0o755)
    file = tmp_path / "relay.yaml"
    file.write_text((ROOT / "deploy" / "compose" / "relay.yaml").read_text())
    file.chmod(0o644)
    said = script(tmp_path, blocks("run-file") + blocks("beside"), environ)
    assert "accepted" in said
    assert "webhook.received" in said
    assert {call["query"].get("projectIdOrName", "my-shop") for call in vercel[0].calls} == {"my-shop"}
