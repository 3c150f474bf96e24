"""What a store's processes go by."""

from __future__ import annotations

from datetime import UTC, datetime

from service.store.engine import Engine

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def test_where_the_machine_s_clock_is_right_its_time_is_told_as_it_is(engine: Engine) -> None:
    assert engine.clock(lambda: NOON)() is NOON
