"""What holds for every test."""

from __future__ import annotations

import pytest

_LONGEST_ID = 48


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Long values get the argument's name and a number: keys are made anew in every process, and ids must not be."""
    return argname if isinstance(val, (str, bytes)) and len(val) > _LONGEST_ID else None
