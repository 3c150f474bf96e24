"""What the dispatcher logs, whatever other tests did to the logging of the process."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from service.dispatch import delivery, gate, lane, lookup_lane, resolving, supervisor, waiting

Logs = list[MutableMapping[str, Any]]


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    with structlog.testing.capture_logs() as entries:
        for module in (delivery, gate, lane, lookup_lane, resolving, supervisor, waiting):
            # A logger that was used before has kept the configuration of then.
            monkeypatch.setattr(module, "log", structlog.get_logger())
        yield entries
