"""Holds and rate budgets."""

from __future__ import annotations

from typing import Any

import pytest
from support.stored import NOW, at

from service.domain.holds import Hold, HoldKind
from service.store.board import Board
from service.store.engine import Engine


def hold(kind: HoldKind = HoldKind.AUTO, **more: Any) -> Hold:
    usual: dict[str, Any] = {
        "project": "shop",
        "reason": "403",
        "credential": "f1",
        "since": NOW,
        "probe_at": at(300),
    }
    return Hold(kind=kind, **usual | more)


AUTO, MANUAL = hold(), hold(HoldKind.MANUAL, reason="by hand", credential="", since=at(9), probe_at=at(9))


async def test_holds_by_project(engine: Engine) -> None:
    board = Board(engine)
    assert await board.holds() == {}
    other = hold(project="blog")
    for one in (AUTO, other):
        await board.hold(one)
    assert await board.holds() == {"shop": AUTO, "blog": other}


@pytest.mark.parametrize(
    ("first", "second", "then"),
    [
        pytest.param(
            AUTO,
            hold(reason="402", since=at(50), probe_at=at(600)),
            hold(reason="402", probe_at=at(600)),
            id="a renewed one says since when it has been held",
        ),
        pytest.param(AUTO, MANUAL, MANUAL, id="an operator takes over"),
        pytest.param(MANUAL, AUTO, MANUAL, id="and is not overruled"),
        pytest.param(
            MANUAL,
            hold(HoldKind.MANUAL, reason="still", since=at(70)),
            hold(HoldKind.MANUAL, reason="still", since=at(9)),
            id="an operator may say why again",
        ),
    ],
)
async def test_one_hold_a_project(engine: Engine, first: Hold, second: Hold, then: Hold) -> None:
    board = Board(engine)
    await board.hold(first)
    await board.hold(second)
    assert await board.holds() == {"shop": then}


async def test_a_release_ends_an_automatic_hold_alone(engine: Engine) -> None:
    board = Board(engine)
    await board.hold(MANUAL)
    await board.release("shop")
    assert await board.holds() == {"shop": MANUAL}
    await board.hold(hold(project="blog"))
    await board.release("blog")
    assert set(await board.holds()) == {"shop"}


async def test_resume_ends_any_hold_and_says_whether_there_was_one(engine: Engine) -> None:
    board = Board(engine)
    await board.hold(MANUAL)
    assert await board.resume("shop")
    assert not await board.resume("shop")
    assert await board.holds() == {}


async def test_the_later_end_of_a_budget_counts(engine: Engine) -> None:
    board = Board(engine)
    for until in (at(60), at(30), at(90)):
        await board.block("f1", until)
    await board.block("f2", at(10))
    assert await board.quotas(NOW) == {"f1": at(90), "f2": at(10)}
    assert await board.quotas(at(10)) == {"f1": at(90)}
