"""Debian's package on a machine of its own, typed as its page says: installed, configured, upgraded, removed.

The machine is started once. Each test installs the package, and has to leave nothing behind once that is purged.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.pages import joined
from package.machine import FOLDER, ROOT, Machine, in_chroot, machine, unpack
from support.process import eventually

from deploy.release import build, head
from service import __version__

if os.geteuid() != 0 or not (FOLDER / "base.tar").exists():
    pytest.skip("`make deb-test`, as root, makes what these need", allow_module_level=True)

PAGE = ROOT / "deploy" / "systemd" / "README.md"
TOKEN = "fake-put-your-own-here"
FAKE_VERCEL = "http://127.0.0.1:8090"
READY = "image-relay ping --url http://127.0.0.1:8080 --wait 20"
SETTINGS = "/etc/image-relay/relay.yaml"
FIND = "find / /run -xdev -name '*image-relay*' -not -path '/root/*'"


def page(label: str) -> str:
    return joined(PAGE, f"tested: {label}")


@pytest.fixture(scope="module")
def package() -> Path:
    """What `make deb` made before."""
    (made,) = (ROOT / "dist").glob(f"image-relay_{__version__}_*.deb")
    return made


@pytest.fixture(scope="module")
def debian(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = unpack(tmp_path_factory.mktemp("machine") / "root")
    shutil.copy(package, root / "root")
    with machine(root) as started:
        yield started


@pytest.fixture
def installed(debian: Machine) -> Iterator[Machine]:
    """With the package; purged afterwards, and nothing is left of it."""
    debian.run(page("install"))
    try:
        yield debian
        debian.run("dpkg --purge image-relay")
        assert debian.run(FIND).stdout == ""
        assert debian.run("systemctl is-system-running", check=False).stdout == "running\n"
    finally:
        # For the next test, whatever this one did.
        debian.run("rm -rf /etc/image-relay /var/lib/image-relay /tmp/*; systemctl reset-failed")


@pytest.fixture
def running(installed: Machine) -> Iterator[Machine]:
    """As the page configures and starts it; what it sends goes to a fake Vercel of its own."""
    installed.run(f"systemd-run --quiet --unit=vercel image-relay fake-vercel --token {TOKEN}")
    try:
        installed.run(page("configure") + f"echo RELAY_VERCEL_API={FAKE_VERCEL} >> /etc/image-relay/environment")
        installed.run(page("start"))
        yield installed
    finally:
        installed.run("systemctl stop vercel")


def send(debian: Machine, settings: str = SETTINGS) -> None:
    """A webhook, signed as Contentful signs, about a picture that was published anew."""
    command = page("command").replace("purges list", "send").replace(SETTINGS, settings)
    assert "→ 200" in debian.run(command).stdout


def purged(debian: Machine) -> int:
    """How many pictures the fake Vercel was asked for."""
    script = f"from urllib.request import urlopen; print(urlopen('{FAKE_VERCEL}/_calls').read().decode())"
    calls = json.loads(debian.run(f'python3 -c "{script}"').stdout)["calls"]
    return sum(len(call["body"]["srcImages"]) for call in calls if call["status"] == 200)


def test_the_wheel_says_its_commit(tmp_path: Path) -> None:
    commit = head()
    build(commit, tmp_path, "wheel")
    (wheel,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(wheel).read("service/COMMIT").decode() == commit + "\n"


def test_it_installs_where_no_systemd_runs(package: Path, tmp_path: Path) -> None:
    root = unpack(tmp_path / "root")
    shutil.copy(package, root / "root")
    in_chroot(root, f"dpkg -i /root/{package.name} && getent passwd image-relay && image-relay --version")
    in_chroot(root, "systemctl enable image-relay && dpkg -P image-relay")
    assert in_chroot(root, FIND).stdout == ""


def test_it_installs_and_starts_nothing(installed: Machine) -> None:
    state = installed.state()
    assert (state["ActiveState"], state["UnitFileState"]) == ("inactive", "disabled")
    assert re.search(
        r"^image-relay:.*:/var/lib/image-relay:/usr/sbin/nologin$", installed.run("getent passwd image-relay").stdout
    )
    assert re.fullmatch(r"image-relay [0-9.]+ \([0-9a-f]{12}\)\n", installed.run("image-relay --version").stdout)
    assert installed.run("stat -c '%a %U' /etc/image-relay/secrets").stdout == "700 root\n"
    assert installed.run("dpkg -V image-relay").stdout == ""


def test_nothing_but_the_package_is_imported(installed: Machine) -> None:
    installed.run("mkdir /tmp/service && echo 'raise SystemExit(9)' > /tmp/service/__init__.py")
    installed.run("cd /tmp && PYTHONPATH=/tmp image-relay --version")


def test_it_demonstrates_itself(installed: Machine) -> None:
    installed.run("image-relay demo --once")


def test_bash_completes(installed: Machine) -> None:
    done = installed.run(
        "bash -c '. /usr/share/bash-completion/completions/image-relay; "
        "COMP_WORDS=(image-relay tokens r) COMP_CWORD=2; "
        '_image_relay_completion image-relay; echo "${COMPREPLY[@]}"\''
    )
    assert sorted(done.stdout.split()) == ["remove", "rotate-keys"]


def test_unconfigured_it_fails_once_and_says_why(installed: Machine) -> None:
    installed.run("systemctl start image-relay", check=False)
    eventually(lambda: installed.state()["ActiveState"] == "failed", 20, "it has failed")
    # Where it is to be started again it is `activating` by now.
    state = installed.state()
    assert (state["ActiveState"], state["ExecMainStatus"], state["NRestarts"]) == ("failed", "78", "0")
    told = installed.journal()
    for name in ("RELAY_VAULT_KEY", "VERCEL_TOKEN", "CONTENTFUL_SECRET"):
        assert name in told


def test_configured_it_starts_and_purges(running: Machine) -> None:
    assert running.run("stat -c '%a %U' /etc/image-relay/environment").stdout == "600 root\n"
    assert "Active: active (running)" in running.run(page("look")).stdout
    send(running)
    eventually(lambda: purged(running) == 1, 20, "the picture is purged")
    assert "done" in running.run(page("command")).stdout


def test_the_restrictions_are_real(running: Machine) -> None:
    state = running.state()
    pid = state["MainPID"]
    lines = running.run(f"cat /proc/{pid}/status").stdout.splitlines()
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    uid = running.run("id -u image-relay").stdout.strip()
    assert status["Uid"].split() == [uid] * 4
    # Of all others' users it knows root's and its own number alone.
    mapped = {line.split()[0]: line.split()[2] for line in running.run(f"cat /proc/{pid}/uid_map").stdout.splitlines()}
    assert mapped == {"0": "1", uid: "1"}
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    # Even root, where the service is, cannot write beside its state; and sees none of the homes.
    inside = f"nsenter --target={pid} --mount"
    for place in ("/usr/lib/image-relay", "/etc/image-relay", "/var/log", "/root"):
        assert running.run(f"{inside} touch {place}/new", check=False).returncode != 0, place
    running.run(f"{inside} touch /var/lib/image-relay/new && rm /var/lib/image-relay/new")
    assert running.run("stat -c '%a %U' /var/lib/image-relay").stdout == "700 image-relay\n"
    exposure = running.run("systemd-analyze security --no-pager image-relay").stdout
    assert float(re.findall(r"Overall exposure level for \S+: ([0-9.]+)", exposure)[0]) < 2.0


def test_killed_it_comes_back(running: Machine) -> None:
    before = running.state()["MainPID"]
    running.run("systemctl kill -s KILL image-relay")
    eventually(lambda: running.state()["NRestarts"] == "1", 20, "it is restarted")
    running.run(READY)
    assert running.state()["MainPID"] != before


def test_a_secret_may_be_a_file_of_its_own(running: Machine) -> None:
    # With what was configured a webhook can be signed, whatever the service reads.
    running.run(f"sed 's|token: .*|token: fake|' {SETTINGS} > /tmp/signing.yaml")
    running.run(page("secret"))
    (setting,) = re.findall(r"`(token: \{file: [^`]+\})`", PAGE.read_text())
    running.run(f"sed -i 's|token: .*|{setting}|' {SETTINGS} && sed -i /^VERCEL_TOKEN=/d /etc/image-relay/environment")
    running.run(page("restart") + READY)
    send(running, "/tmp/signing.yaml")  # noqa: S108 - the machine's own
    eventually(lambda: purged(running) == 1, 20, "the picture is purged with that token")
    # The service's user reads the copy, nobody else but root does; and it goes with the service.
    (copy,) = re.findall(r"/run/[^}]+", setting)
    assert "done" in running.run(page("command")).stdout
    assert "Permission denied" in running.run(f"runuser -u nobody -- cat {copy}", check=False).stderr
    running.run("systemctl stop image-relay")
    said = running.run(page("command"), check=False)
    assert (said.returncode != 0, copy in said.stderr) == (True, True)


def test_an_upgrade_restarts_it_and_keeps_the_settings(running: Machine) -> None:
    send(running)
    eventually(lambda: "done" in running.run(page("command")).stdout, 20, "the picture is purged")
    before = running.state()["MainPID"]
    running.run(f"echo '# mine' >> {SETTINGS}")
    # The same release again, which apt-get would leave alone.
    running.run(page("upgrade").replace("install", "install -y --reinstall"))
    running.run(READY)
    state = running.state()
    assert (state["ActiveState"], state["UnitFileState"]) == ("active", "enabled")
    assert state["MainPID"] != before
    assert "# mine" in running.run(f"cat {SETTINGS}").stdout
    assert "done" in running.run(page("command")).stdout


def test_stopped_it_ends_by_itself(running: Machine) -> None:
    running.run("systemctl stop image-relay")
    state = running.state()
    assert (state["ActiveState"], state["Result"], state["ExecMainStatus"]) == ("inactive", "success", "0")


def test_removed_it_leaves_what_is_not_its_own(running: Machine) -> None:
    running.run(page("secret") + page("remove"))
    assert running.state()["LoadState"] == "not-found"
    assert running.run("pgrep -u image-relay", check=False).stdout == ""
    running.run(f"test -s /var/lib/image-relay/relay.db && test -s {SETTINGS} && test -s /etc/image-relay/environment")
    running.run("test -s /etc/image-relay/secrets/vercel-token && test ! -e /usr/lib/image-relay")
    running.run("touch /etc/image-relay/mine\n" + page("purge"))
    assert running.run("ls -A /etc/image-relay && rm -r /etc/image-relay").stdout == "mine\n"


def test_purged_while_it_runs_it_leaves_nothing(running: Machine) -> None:
    running.run(page("secret") + page("purge"))
    assert running.run(FIND).stdout == ""
    assert running.run("systemctl list-units --all --no-legend 'image-relay*'").stdout == ""
    assert "image-relay" not in running.run("systemctl list-unit-files; dpkg -l").stdout
    assert running.run("pgrep -u image-relay", check=False).stdout == ""
