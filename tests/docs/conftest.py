"""One prepared shell for all pages."""

from __future__ import annotations

import pytest
from docs.prepared import Shell, shell


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return shell(tmp_path_factory.mktemp("shell"))
