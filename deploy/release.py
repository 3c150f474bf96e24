"""Wheel and sdist of what is committed, the same bytes each time; with --dry-run, whether that could be released.

python -m deploy.release [--dry-run] [FOLDER]; the folder is dist if left out. The dry run makes Debian's package too.
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
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]


def git(*words: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=True).stdout.strip()


def head() -> str:
    """Asked for once, for somebody may commit while this builds."""
    return git("rev-parse", "HEAD")


def when(commit: str) -> int:
    return int(git("log", "-1", "--format=%ct", commit))


def version(source: Path) -> str:
    (found,) = re.findall(r'__version__ = "(.+)"', (source / "service/__init__.py").read_text())
    return str(found)


def checkout(commit: str, into: Path) -> None:
    """The commit's files, and in the package its name."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(into, filter="data")
    Path(into, "service", "COMMIT").write_text(commit + "\n")


def build(commit: str, into: Path, *targets: str) -> None:
    """Nothing that is not committed gets in, and every time in it is the commit's."""
    with tempfile.TemporaryDirectory() as folder:
        checkout(commit, Path(folder))
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", into, *(f"--target={one}" for one in targets)],
            cwd=folder,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(when(commit))},
            check=True,
            stdout=subprocess.DEVNULL,
        )


def digests(folder: Path) -> dict[str, str]:
    """File name → SHA-256."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def publish(make: Callable[[Path], object], into: Path) -> bool:
    """What is made, if it is the same bytes when it is made again."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        make(Path(one))
        make(Path(two))
        first, second = digests(Path(one)), digests(Path(two))
        if first != second:
            print(f"two builds differ: {first} {second}", file=sys.stderr)
            return False
        for name, digest in first.items():
            shutil.copy(Path(one, name), into / name)
            print(f"{digest}  {into / name}", flush=True)
    return True


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


def dry_run(commit: str, into: Path) -> bool:
    # A program of its own: where it cannot build, all else is told nevertheless.
    package = subprocess.run([sys.executable, "-m", "deploy.debian.build", into.absolute()], cwd=ROOT, check=False)
    ours = version(ROOT)
    found = problems(ours, (ROOT / "CHANGELOG.md").read_text(), git("tag").split(), git("status", "--porcelain"))
    if package.returncode:
        found.insert(0, "Debian's package was not built, for what is told above")
    for problem in found:
        print(f"in the way: {problem}", file=sys.stderr)
    print(f"would be tagged: v{ours} at {commit}")
    return not found


def main() -> int:
    words = [word for word in sys.argv[1:] if word != "--dry-run"]
    into = Path(words[0] if words else ROOT / "dist")
    commit = head()
    if not publish(partial(build, commit), into):
        return 1
    return 0 if "--dry-run" not in sys.argv or dry_run(commit, into) else 1


if __name__ == "__main__":
    sys.exit(main())
