"""Debian's package of what is committed, the same bytes each time; nfpm is in the PATH.

python -m deploy.debian.build [FOLDER]; the folder is dist if left out. For Debian 12 and this machine's kind of
processor: what is compiled is for Python 3.11, so this has to run on one.
"""

from __future__ import annotations

import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from deploy.release import ROOT, build, checkout, head, publish, version, when

LOCKS = ("requirements.lock", "requirements-postgres.lock")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
GLIBC_OF_DEBIAN_12 = 36


def run(*words: str | Path, **more: str) -> None:
    subprocess.run(words, check=True, env=os.environ | more, stdout=subprocess.DEVNULL)


def install(source: Path, wheel: Path, into: Path) -> None:
    """Every library by its hash, and ours; without programs, compiled."""
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(17, GLIBC_OF_DEBIAN_12 + 1)]
    chosen = [f"--platform={tag}" for tag in (*tags, f"manylinux2014_{machine}")]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-compile", "--no-deps"]
    pip += ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp", *chosen]
    pip += [f"--target={into}", "--upgrade"]
    for lock in LOCKS:
        run(*pip, "--require-hashes", "-r", source / lock)
    run(*pip, wheel)
    shutil.rmtree(into / "bin", ignore_errors=True)
    # Where the wheel lay while it was built says nothing to anybody.
    for name in ("direct_url.json", "REQUESTED", "RECORD"):
        for path in into.glob(f"*.dist-info/{name}"):
            path.unlink()
    # Bytecode that does not look at its source's time stays valid whatever the package's times are.
    run(
        sys.executable,
        "-m",
        "compileall",
        "-q",
        "--invalidation-mode=unchecked-hash",
        "-s",
        into,
        "-p",
        "/usr/lib/image-relay",
        into,
    )


def lay_out(source: Path, wheel: Path, tree: Path) -> None:
    """All below /usr."""
    library = tree / "usr/lib/image-relay"
    install(source, wheel, library)
    run(sys.executable, "-m", "service.cli.manual", tree / "made", PYTHONPATH=str(library))
    doc = tree / "usr/share/doc/image-relay"
    files = {
        "usr/bin/image-relay": source / "deploy/debian/image-relay",
        "usr/lib/systemd/system/image-relay.service": source / "deploy/systemd/image-relay.service",
        "usr/lib/sysusers.d/image-relay.conf": source / "deploy/debian/sysusers.conf",
        "usr/share/bash-completion/completions/image-relay": tree / "made/completions/bash",
        "usr/share/zsh/vendor-completions/_image-relay": tree / "made/completions/zsh",
        "usr/share/fish/vendor_completions.d/image-relay.fish": tree / "made/completions/fish",
        f"{doc.relative_to(tree)}/copyright": source / "LICENSE",
        f"{doc.relative_to(tree)}/README.md": source / "deploy/systemd/README.md",
    }
    for name, origin in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, tree / name)
    (tree / "usr/bin/image-relay").chmod(0o755)
    packed = {
        "usr/share/man/man1/image-relay.1.gz": tree / "made/image-relay.1",
        f"{doc.relative_to(tree)}/changelog.gz": source / "CHANGELOG.md",
    }
    for name, origin in packed.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(gzip.compress(origin.read_bytes(), mtime=0))
    shutil.rmtree(tree / "made")


def package(commit: str, into: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, wheels, tree = (Path(folder, name) for name in ("source", "wheels", "tree"))
        checkout(commit, source)
        build(commit, wheels, "wheel")
        (wheel,) = wheels.iterdir()
        lay_out(source, wheel, tree)
        time = when(commit)
        for path in (tree, *tree.rglob("*")):
            os.utime(path, (time, time), follow_symlinks=False)
        given = {
            "ARCH": ARCHITECTURES[platform.machine()],
            "VERSION": version(source),
            "TREE": str(tree),
            "SOURCE_DATE_EPOCH": str(time),
            "MTIME": datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        made = into.absolute() / f"image-relay_{given['VERSION']}_{given['ARCH']}.deb"
        settings = source / "deploy/debian/nfpm.yaml"
        # nfpm itself fills in only some of the fields.
        settings.write_text(re.sub(r"\$\{([A-Z]+)\}", lambda found: given[found[1]], settings.read_text()))
        subprocess.run(
            ["nfpm", "package", "-p", "deb", "-f", settings, "-t", made],
            cwd=settings.parent,
            env=os.environ | given | {"TZ": "UTC"},
            check=True,
            stdout=subprocess.DEVNULL,
        )


def missing() -> str | None:
    """What this machine lacks."""
    if sys.version_info[:2] != (3, 11):
        return "Debian 12's Python is 3.11: build with that one, make deb PYTHON=python3.11"
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        return f"the package is built on Linux, on {' or '.join(ARCHITECTURES)}"
    if shutil.which("nfpm") is None:
        return "nfpm is not in the PATH: make deb fetches it"
    return None


def main() -> int:
    if lacks := missing():
        print(lacks, file=sys.stderr)
        return 1
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    return 0 if publish(partial(package, head()), into) else 1


if __name__ == "__main__":
    sys.exit(main())
