"""A Debian 12 whose first process is systemd, in namespaces of this machine: no container engine, no virtual machine.

It has a network of its own, of loopback alone. Limits of memory and tasks hold only where this machine has control
groups of the second version; all else of the unit is as on a machine of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from support.process import eventually

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-package"
_TIMEOUT = 120  # of one script: a package is unpacked in some seconds, on a busy machine in half a minute
_GROUPS = Path("/sys/fs/cgroup")
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
_NEW = ("--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--fork", "--kill-child")

Done = subprocess.CompletedProcess[str]


def checked(done: Done, check: bool) -> Done:
    assert not check or done.returncode == 0, f"{done.args}:\n{done.stdout}{done.stderr}"
    return done


def unpack(folder: Path) -> Path:
    """A fresh Debian."""
    folder.mkdir()
    subprocess.run(["tar", "-C", folder, "-xf", FOLDER / "base.tar"], check=True)
    # It is thrown away: nothing has to be on disk.
    (folder / "etc/dpkg/dpkg.cfg.d/throwaway").write_text("force-unsafe-io\n")
    (folder / "etc/machine-id").write_text(uuid4().hex + "\n")  # without it systemd asks who this machine shall be
    for timer in ("apt-daily", "apt-daily-upgrade"):  # at a random time after the first start: dpkg is locked then
        (folder / f"etc/systemd/system/{timer}.timer").symlink_to("/dev/null")
    return folder


def in_chroot(root: Path, script: str, *, check: bool = True) -> Done:
    """As an image is made: nothing runs there."""
    command = ["chroot", str(root), "env", "-i", _PATH, "sh", "-c", script]
    return checked(subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False), check)


class Machine:
    """A started one."""

    def __init__(self, first: int) -> None:
        self._first = first

    def run(self, script: str, *, check: bool = True) -> Done:
        """A script of sh, as root, in /root."""
        command = ["nsenter", f"--target={self._first}", "--all", "--root", "--wdns=/root"]
        command += ["env", "-i", _PATH, "HOME=/root", "sh", "-euc", script]
        return checked(subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False), check)

    def state(self, unit: str = "image-relay") -> dict[str, str]:
        lines = self.run(f"systemctl show {unit}").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self) -> str:
        return self.run("journalctl --no-pager -u image-relay -o cat").stdout


@contextmanager
def machine(root: Path) -> Iterator[Machine]:
    """Booted from that folder, and gone in the end."""
    version = "v2" if (_GROUPS / "cgroup.procs").exists() else "v1"
    group = (_GROUPS if version == "v2" else _GROUPS / "systemd") / f"relay-{uuid4().hex[:8]}"
    group.mkdir()
    join = 'echo $$ > "$0/cgroup.procs"; exec unshare "$@"'
    boot = ("sh", str(Path(__file__).with_name("boot.sh")), str(root), version)
    process = subprocess.Popen(["sh", "-c", join, str(group), *_NEW, *boot], stdout=subprocess.PIPE, text=True)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

        def booted() -> bool:
            assert process.poll() is None, "it did not boot"
            (child, *_) = children.read_text().split() or [""]
            return bool(child) and Path(f"/proc/{child}/comm").read_text().strip() == "systemd"

        eventually(booted, 20, "systemd is the first process")
        made = Machine(int(children.read_text()))
        eventually(lambda: made.run("systemctl is-system-running", check=False).stdout == "running\n", 60, "it is up")
        yield made
    finally:
        process.kill()
        process.communicate()
        eventually(lambda: _removed(group), 20, f"{group} is empty")
        shutil.rmtree(root)


def _removed(group: Path) -> bool:
    """Its processes end a moment after their first one did."""
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
    return not group.exists()
