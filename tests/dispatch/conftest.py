"""What the dispatcher logs, whatever other tests did to the logging of the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.told import Told, logged

Logs = Told


@pytest.fixture(autouse=True)
def logs() -> Iterator[Logs]:
    with logged() as entries:
        yield entries
