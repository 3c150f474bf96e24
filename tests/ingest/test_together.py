"""Webhooks that come in one turn of the loop take each step together, and each ends as if it had come alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from support.intake import NOW, BrokenInbox, Relay, relay
from support.told import logged

from service.domain.events import Notification
from service.domain.requests import RawRequest, Verified
from service.ingest import endpoint
from service.ingest.endpoint import Reply
from service.ingest.intake import Genuine, Intake, Webhook
from service.ingest.pipeline import Pipeline
from service.ingest.ports import Answer
from service.observability.tally import Tally
from service.providers.base import Sample


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Relay]:
    async with relay(tmp_path, whole=True) as running:
        yield running


def webhooks(started: Relay, number: int) -> list[RawRequest]:
    """Genuine ones of the source `hook`, each about an image of its own."""
    provider = started.pipelines["hook"].provider
    bodies = [b'{"type":"asset.replaced","data":{"id":"%d","url":"https://img/%d"}}' % (n, n) for n in range(number)]
    return [
        provider.sign(Sample(body, {"webhook-id": f"msg_{n}"}), "/hooks/hook", NOW) for n, body in enumerate(bodies)
    ]


def take_whole(started: Relay, request: RawRequest, reply: Reply) -> None:
    """As a server hands over a request that it has in one piece."""
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers]
    started.app.hooks[request.path.encode()](headers, request.body, reply)


def taken_whole(started: Relay, request: RawRequest) -> asyncio.Future[Response]:
    """The answer, once it is there."""
    answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    take_whole(started, request, answer.set_result)
    return answer


async def test_they_share_a_transaction(started: Relay) -> None:
    before = started.engine.stats.commits
    told = await asyncio.gather(*(started.send(request) for request in webhooks(started, 50)))
    assert started.engine.stats.commits == before + 1
    receipts = {receipt.id: receipt for receipt in await started.receipts()}
    for number, one in enumerate(told):
        assert (one.status, one.json["status"]) == (200, "accepted")
        ((purge, _),) = await started.inbox.purges_of(one.json["receipt"])
        assert purge.src_image == f"https://img/{number}"
        assert b'"id":"%d"' % number in (receipts[one.json["receipt"]].body or b"")
    assert len({one.headers["x-request-id"] for one in told}) == 50


async def test_many_are_judged_some_at_a_time_and_stored_together(
    started: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[int] = []
    judge = Intake.judge

    def counted(self: Intake, webhooks: Sequence[Webhook]) -> Sequence[Genuine | Answer | None]:
        judged.append(len(webhooks))
        return judge(self, webhooks)

    monkeypatch.setattr(endpoint, "_TOGETHER", 3)
    monkeypatch.setattr(Intake, "judge", counted)
    before = started.engine.stats.commits
    first = [taken_whole(started, request) for request in webhooks(started, 8)]
    assert {answer.status_code for answer in await asyncio.gather(*first)} == {200}
    assert judged == [3, 3, 2]
    assert started.engine.stats.commits == before + 1
    await taken_whole(started, webhooks(started, 9)[8])
    assert judged == [3, 3, 2, 1]
    assert len(await started.receipts()) == 9


async def test_each_gets_its_own_answer(started: Relay) -> None:
    good, again, other = webhooks(started, 3)
    forged = RawRequest(other.method, other.path, other.headers, other.body + b" ")
    unreadable = started.pipelines["hook"].provider.sign(Sample(b"no JSON"), "/hooks/hook", NOW)
    with logged() as lines:
        told = await asyncio.gather(
            started.send(good),
            started.send(forged),
            started.send(unreadable),
            started.send(again),
            started.send(again),
            started.post("keyed", body=[b"confirm https://keyed.example/yes"]),
            started.post("keyed", body=[b"bug"]),
            started.send(other),
        )
    assert [one.status for one in told] == [200, 401, 400, 200, 200, 204, 503, 200]
    assert [one.json["status"] for one in (told[0], told[3], told[4], told[7])] == [
        "accepted",
        "accepted",
        "duplicate",
        "accepted",
    ]
    assert told[3].json["receipt"] == told[4].json["receipt"]
    assert started.network.confirmed == ["https://keyed.example/yes"]
    wide = {line["request_id"]: line["verdict"] for line in lines if line["event"] == "webhook.received"}
    assert [wide[one.headers["x-request-id"]] for one in told] == [
        "accepted",
        "refused",
        "unreadable",
        "accepted",
        "duplicate",
        "test",
        "failed",
        "accepted",
    ]
    await started.kept()
    statuses = sorted(receipt.status for receipt in await started.receipts())
    assert statuses == ["accepted", "accepted", "accepted", "refused", "test", "unreadable"]


async def test_one_that_cannot_be_stored_harms_no_other(started: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    planner = Pipeline.planner

    def broken(self: Pipeline, notification: Notification, verified: Verified) -> object:
        def planned(*_: object) -> None:
            raise ZeroDivisionError("a bug of ours")

        return planned if b"/1" in verified.body else planner(self, notification, verified)

    monkeypatch.setattr(Pipeline, "planner", broken)
    with logged() as lines:
        told = await asyncio.gather(*(started.send(request) for request in webhooks(started, 3)))
    assert [one.status for one in told] == [200, 503, 200]
    (failed,) = [line for line in lines if line["event"] == "webhook.failed"]
    assert failed["exc_info"][0] is ZeroDivisionError
    assert failed["request_id"] == told[1].headers["x-request-id"]
    assert len(await started.receipts()) == 2
    assert (await started.health.check()).reasons == ()


@pytest.mark.parametrize("step", ["verify", "read", "receipt"])
async def test_a_bug_before_the_store_is_told_with_its_webhook(
    started: Relay, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    taken = getattr(Pipeline, step)

    def broken(self: Pipeline, given: RawRequest | Verified, *more: Any) -> Any:
        if b"/1" in given.body:
            raise ZeroDivisionError("a bug of ours")
        return taken(self, given, *more)

    monkeypatch.setattr(Pipeline, step, broken)
    with logged() as lines:
        told = await asyncio.gather(*(started.send(request) for request in webhooks(started, 3)))
    assert [one.status for one in told] == [200, 503, 200]
    assert [line["request_id"] for line in lines if line["event"] == "webhook.failed"] == [
        told[1].headers["x-request-id"]
    ]


async def test_nobody_waits_for_an_answer_that_a_bug_has_prevented(
    started: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "respond", lambda _: 1 / 0)
    with logged() as lines:
        told = await asyncio.gather(*(started.send(request) for request in webhooks(started, 2)))
    assert [(one.status, one.code) for one in told] == [(500, "internal")] * 2
    assert [line["event"] for line in lines] == ["webhook.unanswered"]


async def test_what_is_stored_is_answered_though_it_cannot_be_told_of(
    started: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, number = Tally.webhook, 0

    def broken(self: Tally, *given: Any) -> None:
        nonlocal number
        number += 1
        if number == 2:
            raise ZeroDivisionError("a bug of ours")
        counted(self, *given)

    monkeypatch.setattr(Tally, "webhook", broken)
    with logged() as lines:
        told = await asyncio.gather(*(started.send(request) for request in webhooks(started, 3)))
    assert [one.status for one in told] == [200, 200, 200]
    assert [(line["event"], line["request_id"]) for line in lines] == [
        ("webhook.received", told[0].headers["x-request-id"]),
        ("webhook.untold", told[1].headers["x-request-id"]),
        ("webhook.received", told[2].headers["x-request-id"]),
    ]


async def test_the_store_s_trouble_is_everybody_s(tmp_path: Path) -> None:
    async with relay(tmp_path, inbox=BrokenInbox(), whole=True) as running:
        told = await asyncio.gather(*(running.send(request) for request in webhooks(running, 3)))
        assert [(one.status, one.code) for one in told] == [(503, "unavailable")] * 3
        assert running.woken == []
        assert (await running.health.check()).reasons == ("the disk is full",)


async def test_a_store_that_is_closed_takes_nothing(started: Relay) -> None:
    await started.engine.close()
    told = await asyncio.gather(*(started.send(request) for request in webhooks(started, 2)))
    assert [one.status for one in told] == [503, 503]


async def test_what_is_answered_is_told_of_before_anything_that_comes_afterwards(started: Relay) -> None:
    """A sender's next look at the counters finds it there, where nothing else is under way."""
    loop = asyncio.get_running_loop()
    looked: asyncio.Future[list[str]] = loop.create_future()
    ours, theirs = socket.socketpair()
    (request,) = webhooks(started, 1)

    async def look(lines: Sequence[Mapping[str, Any]]) -> None:
        looked.set_result([line["event"] for line in lines])

    def hear(lines: Sequence[Mapping[str, Any]]) -> None:
        loop.remove_reader(ours)
        tasks.append(loop.create_task(look(lines)))  # as a request is taken up

    tasks: list[asyncio.Task[None]] = []
    with ours, theirs, logged() as lines:
        loop.add_reader(ours, hear, lines)
        take_whole(started, request, lambda _: theirs.sendall(b"?"))
        assert await asyncio.wait_for(looked, 10) == ["webhook.received"]


async def test_while_others_are_under_way_there_is_no_time_to_tell(
    started: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    first, second = webhooks(started, 2)
    accept, gate = started.inbox.accept, asyncio.Event()
    ours, theirs = socket.socketpair()
    came: asyncio.Future[asyncio.Future[Response]] = loop.create_future()

    async def held(verified: Any) -> Any:
        await gate.wait()
        return await accept(verified)

    def come() -> None:
        loop.remove_reader(ours)
        monkeypatch.setattr(started.inbox, "accept", held)
        came.set_result(taken_whole(started, second))

    with ours, theirs, logged() as lines:
        loop.add_reader(ours, come)
        take_whole(started, first, lambda _: theirs.sendall(b"?"))
        answer = await asyncio.wait_for(came, 10)
        for _ in range(10):
            await asyncio.sleep(0)
        assert lines == []
        started.app.spare()
        assert [line["status"] for line in lines] == [200]
        gate.set()
        await answer
        while len(lines) < 2:
            await asyncio.sleep(0)
        started.app.spare()
    assert len(lines) == 2  # each of them once


async def test_one_that_takes_long_keeps_no_other_untold(started: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_UNTOLD_SECONDS", 0.01)
    first, second = webhooks(started, 2)
    taken, gate = started.inbox.accept, asyncio.Event()

    async def held(verified: Any) -> Any:
        if b'"1"' in verified[0][0].body:
            await gate.wait()
        return await taken(verified)

    monkeypatch.setattr(started.inbox, "accept", held)
    with logged() as lines:
        slow = taken_whole(started, second)
        await asyncio.sleep(0)
        await taken_whole(started, first)
        async with asyncio.timeout(10):
            while not lines:
                await asyncio.sleep(0.001)
        assert not slow.done()
        gate.set()
        await slow


async def test_no_more_than_a_few_hundred_wait_to_be_told_of(started: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_UNTOLD", 2)
    with logged() as lines:
        answers = [taken_whole(started, request) for request in webhooks(started, 3)]
        await answers[0]
        assert len(lines) == 3
