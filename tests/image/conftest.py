"""Built once for all the tests here."""

from __future__ import annotations

import pytest
from image.podman import FOLDER, build

if not (FOLDER / "base.tar").exists():
    pytest.skip("`make image-test` makes what these need", allow_module_level=True)


@pytest.fixture(scope="session")
def image() -> str:
    """As it is built without arguments."""
    return build("localhost/image-relay")


@pytest.fixture(scope="session")
def image_with_extras() -> str:
    return build("localhost/image-relay-extras", "--build-arg=EXTRAS=postgres otel")
