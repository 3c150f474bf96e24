"""One prepared shell for all pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from docs.prepared import Shell, shell


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with shell(tmp_path_factory.mktemp("shell")) as one:
        yield one
