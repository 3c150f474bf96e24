"""A Ceph cluster of one monitor, one OSD in memory and one gateway, from Debian's packages that were only unpacked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from support.buckets import ACCESS, SECRET, free_port, serving

_CONFIG = """\
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{monitor}
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 0
osd objectstore = memstore
memstore device bytes = 1073741824
osd class dir = {libraries}/rados-classes
erasure code dir = {libraries}/ceph/erasure-code
plugin dir = {libraries}/ceph
run dir = {folder}
log file = {folder}/$name.log
keyring = {folder}/keyring
[mon]
mon data = {folder}/mon
mon cluster log file = {folder}/cluster.log
[osd]
osd data = {folder}/osd
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway}
"""
_CAPS = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")


class _Cluster:
    def __init__(self, root: Path, folder: Path) -> None:
        self._bin, self._folder = root / "usr" / "bin", folder
        (libraries,) = (root / "usr" / "lib").glob("*-linux-gnu")
        self.monitor, self.gateway = free_port(), free_port()
        self.fsid = str(uuid4())
        self._config = folder / "ceph.conf"
        for part in ("mon", "osd", "rgw"):
            (folder / part).mkdir()
        self._config.write_text(_CONFIG.format(libraries=libraries, folder=folder, **self.__dict__))
        self.environ: Mapping[str, str] = {
            "PATH": f"{self._bin}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": f"{libraries}:{libraries}/ceph:{root}/lib/{libraries.name}",
            "PYTHONPATH": str(root / "usr" / "lib" / "python3" / "dist-packages"),
            "CEPH_CONF": str(self._config),
        }

    def run(self, program: str, *arguments: str) -> None:
        """A command that ends by itself; its output is shown where it fails."""
        subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self._folder,
            env=self.environ,
            check=True,
            timeout=120,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def daemon(self, program: str, *arguments: str) -> list[str]:
        return [str(self._bin / program), "-c", str(self._config), *arguments, "-f"]


@contextmanager
def gateway(root: Path, folder: Path) -> Iterator[str]:
    """The gateway's URL. `root` is where the packages were unpacked; everything else is in `folder`."""
    cluster = _Cluster(root, folder)
    keyring = str(folder / "keyring")
    cluster.run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    cluster.run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *_CAPS)
    address = f"[v1:127.0.0.1:{cluster.monitor}]"
    cluster.run("monmaptool", "--create", "--addv", "a", address, "--fsid", cluster.fsid, "monmap")
    cluster.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", keyring)
    with ExitStack() as stack:
        monitor = cluster.daemon("ceph-mon", "-i", "a")
        stack.enter_context(serving(monitor, cluster.monitor, folder, cluster.environ))
        cluster.run("ceph", "osd", "create")
        cluster.run("ceph-osd", "-i", "0", "--mkfs", "--mkkey")
        cluster.run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=relay")
        osd = subprocess.Popen(
            cluster.daemon("ceph-osd", "-i", "0"),
            cwd=folder,
            env=cluster.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(osd.wait)
        stack.callback(osd.kill)
        keys = ("--access-key", ACCESS, "--secret", SECRET)
        cluster.run("radosgw-admin", "user", "create", "--uid", "relay", "--display-name", "relay", *keys)
        command = cluster.daemon("radosgw", "-n", "client.rgw")
        stack.enter_context(serving(command, cluster.gateway, folder, cluster.environ))
        yield f"http://127.0.0.1:{cluster.gateway}"
