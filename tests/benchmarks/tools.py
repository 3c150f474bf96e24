"""wrk and Debian's `webhook`: found, or fetched with apt-get where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

UNPACKED = Path(__file__).parents[2] / ".venv-bench"
_NEEDS = {"wrk": ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"], "webhook": ["webhook"]}


def have(name: str) -> str | None:
    """Where the command is, None after a line that says why it cannot be had."""
    if found := _found(name):
        return found
    if shutil.which("apt-get") is None:
        _say(f"{name} is not installed and there is no apt-get: what needs it is left out")
        return None
    try:
        _install(name) if os.geteuid() == 0 else _unpack(name)
    except subprocess.CalledProcessError as error:
        _say(f"{name} cannot be had ({' '.join(error.cmd[:3])} failed; was apt-get update run?): it is left out")
        return None
    return _found(name)


def environment() -> dict[str, str]:
    """With the libraries of what was unpacked."""
    libraries = ":".join(str(path) for path in UNPACKED.glob("usr/lib/*-linux-gnu"))
    return os.environ | ({"LD_LIBRARY_PATH": libraries} if libraries else {})


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=str(UNPACKED / "usr/bin"))


def _install(name: str) -> None:
    subprocess.run(["apt-get", "-qq", "install", "-y", name], check=True, stdout=subprocess.DEVNULL)


def _unpack(name: str) -> None:
    """Downloaded and unpacked into the checkout, which needs no rights."""
    UNPACKED.mkdir(exist_ok=True)
    subprocess.run(["apt-get", "-qq", "download", *_NEEDS[name]], check=True, cwd=UNPACKED)
    for package in UNPACKED.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package.name, "."], check=True, cwd=UNPACKED)
        package.unlink()


def _say(line: str) -> None:
    print(line, file=sys.stderr)
