"""`image-relay --version`: the release, and the commit it was made from where that is known."""

from __future__ import annotations

from pathlib import Path

import click

from service import __version__

PACKAGE = Path(__file__).parents[1]
BUILT_FROM = "COMMIT"
"""The file in the package that a build leaves: the commit, and nothing else."""

_SHORT = 12


def commit(package: Path = PACKAGE) -> str | None:
    """The commit this was built from, or that is checked out; None where neither can be told."""
    try:
        found = (package / BUILT_FROM).read_text("ascii").strip()
    except (OSError, ValueError):
        found = _checked_out(package)
    return found[:_SHORT] if found else None


def _checked_out(package: Path) -> str:
    # Only a checkout of our own: installed into somebody's repository, the commit would be theirs.
    if not (package.parent / ".git").exists() or not (package.parent / "pyproject.toml").is_file():
        return ""
    import subprocess

    try:
        done = subprocess.run(  # noqa: S603 - fixed words and our own folder
            ["git", "-C", str(package.parent), "rev-parse", "HEAD"],  # noqa: S607 - the git that is in the PATH
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def show(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """click's callback of --version."""
    if not wanted or ctx.resilient_parsing:
        return
    known = commit()
    click.echo(f"image-relay {__version__}" + (f" ({known})" if known else ""))
    ctx.exit()
