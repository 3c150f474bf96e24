"""The image, built by buildah and run by podman, in a store apart from the machine's other images.

The store lays layers over each other where the kernel can; where it cannot, STORAGE_DRIVER=vfs copies them, which takes
some minutes more.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from support.process import eventually

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".image"
STORE = ("--root", str(FOLDER / "store"), "--runroot", str(FOLDER / "run"))
BASE = "localhost/relay-base"

# What a careful operator gives it. The limits are given since a container's default ones may be above our own.
LOCKED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")

# Without systemd, and with control groups of the first and second version side by side, runc is what works.
PODMAN = ("podman", *STORE, "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc")
# Whom this machine trusts, it trusts while it builds.
TRUSTED = "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"


def run(*command: str, check: bool = True, seconds: float = 600) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
    return done


def podman(*arguments: str, check: bool = True) -> str:
    return podman_done(*arguments, check=check).stdout


def podman_done(*arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    return run(*PODMAN, *arguments, check=check)


def build(name: str, *arguments: str) -> str:
    """Builds the Dockerfile on a Debian of our own making; the image's name."""
    known = podman("images", "--format", "{{.Repository}}").split()
    if BASE not in known:
        podman("import", "--quiet", str(FOLDER / "base.tar"), BASE)
    run(
        "buildah",
        *STORE,
        "build",
        "--isolation=chroot",
        "--format=docker",  # OCI's has no health check
        "--layers",
        TRUSTED,
        f"--build-arg=BASE={BASE}",
        *arguments,
        f"--tag={name}",
        str(ROOT),
        seconds=1800,
    )
    return name


class Container:
    """One that was started."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def output(self) -> str:
        done = podman_done("logs", self.name)
        return done.stdout + done.stderr

    @property
    def state(self) -> Mapping[str, Any]:
        (document,) = json.loads(podman("inspect", self.name))
        state: Mapping[str, Any] = document["State"]
        return state

    def execute(self, *command: str, check: bool = True) -> str:
        done = podman_done("exec", self.name, *command, check=check)
        return done.stdout + ("" if check else done.stderr)

    def healthy(self) -> bool:
        """What the image's own HEALTHCHECK says now."""
        return podman_done("healthcheck", "run", self.name).returncode == 0

    def up(self) -> Container:
        eventually(self._healthy_or_ended, 60, f"{self.name} is healthy")
        return self

    def _healthy_or_ended(self) -> bool:
        assert self.state["Running"], f"{self.name} ended:\n{self.output}"
        return self.healthy()

    def stop(self) -> int:
        """SIGTERM, and SIGKILL ten seconds later, as any runtime does; the exit code."""
        podman("stop", "--time=10", self.name)
        return int(self.state["ExitCode"])


@contextmanager
def container(image: str, *options: str, command: Sequence[str] = ()) -> Iterator[Container]:
    """A container of the image, gone in the end. What it says is shown where the test fails."""
    name = f"relay-{uuid4().hex[:8]}"
    # The timers of health checks would be systemd's; the tests ask themselves.
    given = ("--network=host", "--health-interval=disable", *LIMITS, *options)
    podman("run", "--detach", f"--name={name}", *given, image, *command)
    started = Container(name)
    try:
        yield started
    finally:
        print(started.output)  # noqa: T201 - pytest shows it where the test fails
        podman("rm", "--force", "--time=0", name)


def run_once(image: str, *options: str, command: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A container that ends by itself."""
    given = ("--rm", "--network=host", "--health-interval=disable", *LIMITS, *options)
    return podman_done("run", *given, image, *command)


@contextmanager
def volume() -> Iterator[str]:
    """A new volume, which the first container fills as the image says."""
    name = f"relay-{uuid4().hex[:8]}"
    podman("volume", "create", name)
    try:
        yield name
    finally:
        podman("volume", "rm", "--force", name)
