"""Wheel and sdist of what is committed, the same bytes each time; with --dry-run, whether that could be released.

python deploy/release.py [--dry-run] [FOLDER]; the folder is dist if left out.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=True).stdout.strip()


def checkout(into: Path) -> None:
    """HEAD's files, and in the package the name of the commit."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", "HEAD"], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(into, filter="data")
    Path(into, "service", "COMMIT").write_text(git("rev-parse", "HEAD") + "\n")


def build(into: Path, *targets: str) -> dict[str, str]:
    """Builds HEAD; file name → SHA-256. Nothing that is not committed gets in, and every time in it is the commit's."""
    with tempfile.TemporaryDirectory() as folder:
        checkout(Path(folder))
        environment = os.environ | {"SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct")}
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", into, *(f"--target={one}" for one in targets)],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(into.iterdir())}


def problems(version: str, changelog: str, tags: list[str], status: str) -> list[str]:
    """What stands in the way of a release; each one a sentence."""
    found = []
    if not re.search(rf"(?m)^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog):
        found.append(f"CHANGELOG.md has no section `## [{version}] - YYYY-MM-DD`")
    if f"v{version}" in tags:
        found.append(f"the tag v{version} is there already: raise __version__ in service/__init__.py")
    if status:
        found.append("not everything is committed:\n" + status)
    return found


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--dry-run"]
    into = Path(words[0] if words else ROOT / "dist")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, second = build(Path(one)), build(Path(two))
        if first != second:
            print(f"two builds differ: {first} {second}", file=sys.stderr)
            return 1
        for name, digest in first.items():
            shutil.copy(Path(one, name), into / name)
            print(f"{digest}  {into / name}")
    if "--dry-run" not in sys.argv:
        return 0
    (version,) = re.findall(r'__version__ = "(.+)"', (ROOT / "service/__init__.py").read_text())
    found = problems(version, (ROOT / "CHANGELOG.md").read_text(), git("tag").split(), git("status", "--porcelain"))
    for problem in found:
        print(f"in the way: {problem}", file=sys.stderr)
    print(f"would be tagged: v{version} at {git('rev-parse', 'HEAD')}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
