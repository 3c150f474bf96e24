"""Built once for all the tests here."""

from __future__ import annotations

import pytest
from image.podman import FOLDER, ROOT, build, run

from service import __version__

if not all((FOLDER / name).exists() for name in ("base.tar", "docker-compose")):
    pytest.skip("`make image-test` makes what these need", allow_module_level=True)


@pytest.fixture(scope="session")
def image() -> str:
    """As it is built without arguments."""
    return build("localhost/image-relay")


@pytest.fixture(scope="session")
def image_with_extras() -> str:
    # buildah takes labels from its cache though an argument in them has changed. So what the page's command gives them
    # is given here as well, and its build finds all that this one made.
    git = ("git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT))
    revision = run(*git, "rev-parse", "HEAD").stdout.strip()
    created = run(*git, "log", "-1", "--format=%cI").stdout.strip()
    labels = {"VERSION": __version__, "REVISION": revision, "CREATED": created}
    given = (f"--build-arg={name}={value}" for name, value in labels.items())
    return build("localhost/image-relay-extras", "--build-arg=EXTRAS=postgres otel", *given)
