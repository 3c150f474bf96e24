"""The Dockerfile and what it is fed. What it makes is run by `make image-test`."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"(?m)^(?=FROM )", DOCKERFILE)[1:]
EXTRAS = ("otel", "postgres")

PIN = re.compile(r"(?m)^([a-z0-9._-]+)(?:\[[a-z,-]+\])?==([^ ]+)")


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall((ROOT / name).read_text()))


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_hadolint_is_asked_about_everything() -> None:
    assert not re.search("hadolint +(global +)?ignore", DOCKERFILE)
    assert not list(ROOT.glob(".hadolint*"))


def test_the_base_is_pinned_and_slim_and_an_argument() -> None:
    (version,) = re.findall(r"(?m)^ARG PYTHON=(.*)$", DOCKERFILE)
    (base,) = re.findall(r"(?m)^ARG BASE=(.*)$", DOCKERFILE)
    assert re.fullmatch(r"3\.\d+\.\d+", version)
    assert base == "python:${PYTHON}-slim-trixie"
    minor = version.rpartition(".")[0]
    assert f'"Programming Language :: Python :: {minor}"' in (ROOT / "pyproject.toml").read_text()
    assert {stage.split()[1] for stage in STAGES} == {"${BASE}", "wheels", "venv", "scratch"}


def test_what_runs_is_not_what_builds() -> None:
    last = STAGES[-1]
    assert "pip" not in re.sub(r"(?m)^#.*\n", "", last)
    assert re.findall(r"(?m)^COPY (.*)$", last) == [
        "--from=venv /opt/relay /opt/relay",
        "--from=inventory /sbom.cdx.json /usr/share/doc/vercel-image-relay/sbom.cdx.json",
        "LICENSE /usr/share/doc/vercel-image-relay/LICENSE",
    ]
    assert re.search(r"(?m)^USER 10001:10001$", last)


def test_every_installation_is_by_hash_or_of_wheels_made_before() -> None:
    installs = re.findall(r"pip (?:install|download|wheel) [^\\\n]*", DOCKERFILE)
    assert len(installs) == 5
    for line in installs:
        ours = line.endswith(("vercel-image-relay ", "--no-deps --no-build-isolation --wheel-dir /wheels ."))
        assert ours or "--require-hashes" in line, line


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-build.lock", *(f"requirements-{e}.lock" for e in EXTRAS)]
)
def test_the_lock_files_agree(name: str) -> None:
    """What is shipped is what the tests ran with, and pip takes several lock files at once without a contradiction."""
    text = (ROOT / name).read_text()
    tested = pins("requirements-dev.lock")
    found = pins(name)
    assert found
    assert {one: version for one, version in found.items() if one in tested} == {
        one: tested[one] for one in found if one in tested
    }
    if name != "requirements-build.lock":
        assert set(found) <= set(tested)
    assert len(re.findall(r"(?m)^[a-z0-9].*==", text)) == len(re.findall(r"(?m)^[a-z0-9].*\\$", text))
    assert text.count("--hash=sha256:") >= len(found)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extras_lock_file_has_what_the_others_lack(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked_for = {re.split(r"[\[><=~ ]", one)[0] for one in project["optional-dependencies"][extra]}
    assert asked_for <= set(pins(f"requirements-{extra}.lock"))
    assert not set(pins(f"requirements-{extra}.lock")) & set(pins("requirements.lock"))


def test_there_is_a_lock_file_for_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["optional-dependencies"]) == set(EXTRAS)
    makefile = (ROOT / "Makefile").read_text()
    for name in (*EXTRAS, "build"):
        assert f"requirements-{name}.lock" in DOCKERFILE
    assert "for extra in postgres otel" in makefile


def test_the_builder_is_given_what_it_copies_and_nothing_else() -> None:
    allowed = set()
    for line in (ROOT / ".dockerignore").read_text().split():
        if line.startswith("!"):
            allowed.add(line[1:])
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")
    copied = {part for line in re.findall(r"(?m)^COPY (?!--from)(.*)$", DOCKERFILE) for part in line.split()[:-1]}
    assert copied == allowed
    for name in copied:
        assert (ROOT / name).exists(), name
    for secret in ("relay.yaml", ".env", ".git", "relay.db", "deploy/compose/.env"):
        assert not any(fnmatch.fnmatch(secret, pattern) for pattern in allowed)


def test_the_page_tells_every_argument() -> None:
    page = (ROOT / "deploy" / "CONTAINER.md").read_text()
    table = page.partition("| argument | |")[2].partition("\n\n")[0]
    told = {name for row in re.findall(r"(?m)^\| (`.*?`) \|", table) for name in re.findall("`([A-Z]+)`", row)}
    assert told == set(re.findall(r"(?m)^ARG ([A-Z]+)", DOCKERFILE))
    for link in re.findall(r"\]\(([^)]+)\)", page):
        assert (ROOT / "deploy" / link).exists(), link
