from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from support.virtual_time import START, clock, simulate

from service.dispatch.fresh import Fresh
from service.dispatch.slots import Slots


def test_a_value_is_read_again_after_half_a_second_or_when_the_clock_was_set_back() -> None:
    hands = [START]
    reads: list[datetime] = []

    async def load() -> int:
        reads.append(hands[0])
        return len(reads)

    async def main() -> list[int]:
        fresh = Fresh(load, lambda: hands[0])
        values = []
        for step in (0.0, 0.4, 0.2, -3600.0, 0.1):
            hands[0] += timedelta(seconds=step)
            values.append(await fresh.get())
        fresh.spoil()
        return [*values, await fresh.get()]

    assert asyncio.run(main()) == [1, 1, 2, 3, 3, 4]


def test_a_change_while_it_is_read_is_not_missed() -> None:
    truth = ["before"]

    async def load() -> str:
        value = truth[0]
        await asyncio.sleep(0.1)
        return value

    async def main() -> str:
        fresh = Fresh(load, clock)
        reading = asyncio.create_task(fresh.get())
        await asyncio.sleep(0.05)
        truth[0] = "after"
        fresh.spoil()
        return await reading

    assert simulate(main) == "after"


@pytest.mark.parametrize(
    ("total", "projects", "hanging", "free"),
    [(16, 1, 16, 0), (16, 2, 15, 1), (16, 100, 8, 8), (4, 4, 2, 2), (2, 5, 2, 0), (1, 5, 1, 0), (4, 0, 4, 0)],
)
def test_one_project_leaves_places_for_the_first_calls_of_others(
    total: int, projects: int, hanging: int, free: int
) -> None:
    async def main() -> tuple[int, int]:
        slots = Slots(total, projects)
        inside = [0, 0]

        async def call(who: int, further: bool) -> None:
            async with slots.one(further=further):
                inside[who] += 1
                await asyncio.sleep(3600)

        calls = [asyncio.create_task(call(0, number > 0)) for number in range(total + 1)]
        await asyncio.sleep(1)
        calls += [asyncio.create_task(call(1, False)) for _ in range(total)]
        await asyncio.sleep(1)
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(1), slots.one(further=True):
            return inside[0], inside[1]

    assert simulate(main) == (hanging, free)
