"""Ready or not, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from service.domain.errors import StoreUnavailable
from service.domain.holds import Hold, HoldKind
from service.domain.lookups import Failing
from service.observability import health
from service.observability.health import Health, Report

T = TypeVar("T")
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class Store:
    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.error = error
        self.hangs = hangs

    async def read(self, job: Callable[[Any], T]) -> T:
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.error is not None:
            raise self.error
        return job(self)

    def one(self, statement: str, **parameters: Any) -> None:
        assert (statement, parameters) == ("get_receipt", {"id": ""})


class Dispatcher:
    def __init__(self, *, alive: bool = True) -> None:
        self._alive = alive

    def alive(self) -> bool:
        return self._alive


class Board:
    def __init__(self, *holds: Hold, error: Exception | None = None) -> None:
        self._holds = holds
        self._error = error

    async def holds(self) -> Mapping[str, Hold]:
        if self._error is not None:
            raise self._error
        return {hold.project: hold for hold in self._holds}


def held(project: str) -> Hold:
    kind = HoldKind.AUTO
    return Hold(project=project, kind=kind, reason="403 Forbidden", credential="", since=NOW, probe_at=NOW)


GONE = StoreUnavailable("the store relay.db cannot be read: disk I/O error")
STOPPED = "the dispatcher has stopped: purges are stored, but not sent"


@pytest.mark.parametrize(
    ("store", "dispatcher", "board", "report"),
    [
        (Store(), Dispatcher(), None, Report()),
        (Store(), Dispatcher(), Board(), Report()),
        (Store(), Dispatcher(), Board(held("shop")), Report((), ("project shop is on hold: 403 Forbidden",))),
        (Store(), Dispatcher(alive=False), None, Report((STOPPED,))),
        (Store(GONE), Dispatcher(), Board(held("shop")), Report((str(GONE),))),
        (Store(GONE), Dispatcher(alive=False), None, Report((str(GONE), STOPPED))),
        (Store(), Dispatcher(), Board(error=GONE), Report((str(GONE),))),
    ],
)
async def test_the_report(store: Store, dispatcher: Dispatcher, board: Board | None, report: Report) -> None:
    found = await Health(store, dispatcher, board).check()
    assert found == report
    assert found.ready is (report.reasons == ())


async def test_what_the_configuration_warns_of_is_always_there() -> None:
    found = await Health(Store(), Dispatcher(), Board(held("shop")), standing=["source cms is unverified"]).check()
    assert found == Report((), ("source cms is unverified", "project shop is on hold: 403 Forbidden"))


async def test_lookups_that_fail_are_a_warning() -> None:
    class Lookups:
        async def failing(self) -> list[Failing]:
            return [Failing(source="cms", lookups=3, reason="401 Unauthorized")]

    found = await Health(Store(), Dispatcher(), Board(held("shop")), lookups=Lookups()).check()
    assert found.ready
    assert found.warnings[1:] == ("source cms: 3 of its lookups fail for now: 401 Unauthorized",)


async def test_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PING_SECONDS", 0.01)
    report = await Health(Store(hangs=True), Dispatcher()).check()
    assert report.reasons == ("the store did not answer within 0.01 s",)


async def test_a_failed_write_counts_for_a_while_or_until_the_next_one() -> None:
    now = NOW
    health = Health(Store(), Dispatcher(), clock=lambda: now)
    health.store_failed("the disk is full", now)
    assert (await health.check()).reasons == ("the disk is full",)
    now += timedelta(seconds=14)
    assert not (await health.check()).ready
    now += timedelta(seconds=1)
    assert (await health.check()).ready
    health.store_failed("the disk is full", now)
    health.store_works()
    assert (await health.check()).ready


async def test_one_trouble_is_told_once() -> None:
    health = Health(Store(GONE), Dispatcher(), clock=lambda: NOW)
    health.store_failed(str(GONE), NOW)
    assert (await health.check()).reasons == (str(GONE),)
