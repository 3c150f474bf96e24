"""What is installed, run and released is what was looked at: pins, hashes, permissions, reasons, the same bytes."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()

_PINNED = re.compile(r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9, ._-]+\])?==[^\s;]+( ; .+)?")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def requirements(lock: str) -> list[tuple[str, list[str]]]:
    """Each requirement of a lock file with what stands below it."""
    joined = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [
        (head.strip(), re.split(r"\s+", more.strip())) for head, _, more in (line.partition("    ") for line in lines)
    ]


def workflow(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    document: dict[str, Any] = {str(key): value for key, value in yaml.safe_load(path.read_text()).items()}
    return document


def steps() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.name}: {name}", step)
        for path in WORKFLOWS
        for name, job in workflow(path)["jobs"].items()
        for step in job["steps"]
    ]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    found = requirements(lock)
    assert found
    for requirement, hashes in found:
        assert _PINNED.fullmatch(requirement), requirement
        assert hashes, requirement
        assert [text for text in hashes if not _HASH.fullmatch(text)] == [], requirement


def test_nothing_is_installed_without_its_hash() -> None:
    """Into what runs or tests the relay: tools of a target of their own stand in an environment of their own."""
    own = [f"$({name})/" for name in re.findall(r"(?m)^([A-Z]+) := \.venv-", MAKEFILE)] + ["$(VENV)-"]
    stages = [stage for stage in (ROOT / "Dockerfile").read_text().split("\nFROM ") if "PIP_NO_INDEX=1" not in stage]
    looked_at = 0
    for text in (MAKEFILE, *stages):
        for line in text.replace("\\\n", " ").splitlines():
            if not re.search(r"(\bpip\b|\$\(PIP\)).* (install|download)\b", line) or any(
                place in line for place in own
            ):
                continue
            for command in re.findall(r"\b(?:install|download)\b[^&|;]*", line):
                looked_at += 1
                assert "--require-hashes" in command or "--no-deps" in command, line
    assert looked_at >= 5


def test_actions_are_pinned_to_commits() -> None:
    used = [step["uses"] for _, step in steps() if "uses" in step]
    assert used
    for path in WORKFLOWS:
        for line in re.findall(r"(?m)^.*\buses:.*$", path.read_text()):
            assert re.search(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_an_action_has_one_commit_everywhere() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}
    assert len(used) == len({one.partition("@")[0] for one in used})


def test_permissions_are_the_jobs_own() -> None:
    for path in WORKFLOWS:
        document = workflow(path)
        assert document["permissions"] == {}
        for name, job in document["jobs"].items():
            assert job["permissions"], name
            write = {key for key, value in job["permissions"].items() if value != "read"}
            assert not write or path.name == "release.yml", f"{path.name}: {name}"
            assert {"id-token", "contents"} & write or not write, name
            if "build" in name or path.name == "test.yml":
                assert job["permissions"] == {"contents": "read"}, "what runs our code can write nothing"


def test_no_checkout_leaves_its_token_behind() -> None:
    for place, step in steps():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False, place


def test_zizmor_has_nothing_to_say() -> None:
    command = [
        str(Path(sys.executable).with_name("zizmor")),
        "--offline",
        "--persona=pedantic",
        "--no-progress",
        ".github",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_run_what_the_readme_says() -> None:
    """Every `make` of a workflow is a target, and the README's two commands are among them."""
    run = "\n".join(step["run"] for _, step in steps() if "run" in step)
    targets = set(re.findall(r"\bmake ([a-z-]+)", run))
    assert {"demo", "test", "image-test", "audit"} <= targets
    for target in targets:
        assert re.search(rf"(?m)^{target}:", MAKEFILE), f"make {target}"


def test_every_python_that_is_promised_is_tested() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    tested = workflow(ROOT / ".github/workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert tested == promised


def test_what_is_released_is_attested_first() -> None:
    jobs = workflow(ROOT / ".github/workflows/release.yml")["jobs"]
    names = [step.get("uses", step.get("run", "")) for step in jobs["release"]["steps"]]
    attested = next(at for at, name in enumerate(names) if name.startswith("actions/attest@"))
    released = next(at for at, name in enumerate(names) if name.startswith("gh release create"))
    assert attested < released
    assert jobs["release"]["needs"] == "build"
    assert jobs["publish"]["needs"] == "release"
    assert "password" not in str(jobs["publish"]), "PyPI trusts the workflow, there is no token"


SOURCES = ("service", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "Dockerfile", *LOCKS)


def copied(here: Path, to: Path) -> Path:
    """The sources elsewhere, with other times on every file."""
    to.mkdir()
    for name in SOURCES:
        if (here / name).is_dir():
            leave_out = shutil.ignore_patterns("__pycache__")
            shutil.copytree(here / name, to / name, copy_function=shutil.copyfile, ignore=leave_out)
        else:
            shutil.copyfile(here / name, to / name)
    return to


def built(sources: Path) -> dict[str, str]:
    """The digests of a wheel and a source distribution, by name."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(sources / "dist")]
    environ = {"SOURCE_DATE_EPOCH": "1767225600", "PATH": "/usr/bin:/bin", "HOME": str(sources)}
    done = subprocess.run(command, cwd=sources, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (sources / "dist").iterdir()}


def test_the_wheel_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    """Wherever it is built, and whenever the files were checked out."""
    one = copied(ROOT, tmp_path / "one")
    another = copied(one, tmp_path / "another-place")
    first = built(one)
    assert [Path(name).suffix for name in sorted(first)] == [".whl", ".gz"]
    assert first == built(another)


@pytest.mark.parametrize("folder", ["service", "tests"])
def test_every_exception_from_a_security_rule_has_a_reason(folder: str) -> None:
    """Ruff's S rules are bandit's; all are on, and where one is switched off it is said why."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := re.search(r"# noqa: ([A-Z0-9, ]+)(.*)$", line))
        and re.search(r"\bS\d", found[1])
        and not re.match(r"\s*(- |# )\S", found[2])
    ]
    assert bare == []


def test_a_security_rule_that_is_off_everywhere_has_a_reason() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    lint = project.partition("[tool.ruff.lint]")[2].partition("[tool.mypy]")[0]
    assert 'select = ["ALL"]' in lint
    off = [line for line in lint.splitlines() if re.search(r'"S\d{3}"', line)]
    assert off
    assert [line for line in off if not re.search(r"#\s*\w+ \w+", line)] == []
