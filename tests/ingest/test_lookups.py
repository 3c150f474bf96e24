"""Events without URLs, from the webhook to the lookup that is planned for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.intake import NOW, PROJECTS, SOURCES, Relay, Told, relay

from service.domain.events import AssetKind
from service.domain.lookups import LookupEnd, LookupState
from service.domain.memory import AssetMemory
from service.domain.purges import ReceiptStatus
from service.domain.receipts import WAITING, NewReceipt, PlannedEvent, verdict
from service.domain.secret import Secret
from service.ingest.pipeline import build_pipelines, restored
from service.ingest.replay import replay
from service.providers.base import Sample
from service.providers.verification import restore
from service.settings.model import Resolve, Settings, Source
from service.store.lookups import Lookups

RESOLVE = Resolve(url="https://api.example/{{ payload.data.brand }}/{{ asset.id }}", headers={"x-key": Secret("fake")})
SOURCE = Source(provider="standard-webhooks", secrets=SOURCES["hook"].secrets, settle=0, resolve=RESOLVE)
PICTURE = "https://img.example.com/a1.jpg"


def body(kind: str = "asset.replaced", **data: object) -> bytes:
    return json.dumps({"type": kind, "data": {"id": "a1", "brand": "acme", **data}}).encode()


async def post(one: Relay, content: bytes) -> Told:
    return await one.send(one.pipelines["hook"].provider.sign(Sample(content), "/hooks/hook", one.clock.now))


async def test_a_webhook_without_a_url_is_accepted_and_the_dispatcher_is_told(tmp_path: Path) -> None:
    async with relay(tmp_path, sources={"hook": SOURCE}) as one:
        told = await post(one, body())
        assert (told.status, told.json["status"]) == (200, "accepted")
        assert (one.woken, one.looking_up) == ([], ["hook"])
        stored = await one.only(ReceiptStatus.ACCEPTED)
        assert stored.reason == WAITING
        assert stored.trace[0]["event"]["lookup"] == "https://api.example/acme/a1"
        lookup = await Lookups(one.engine).claim("hook", "worker", NOW)
        assert lookup is not None
        await Lookups(one.engine).resolve(
            lookup, LookupEnd(LookupState.DONE, (PICTURE,)), one.pipelines["hook"].planner_of, one.clock.now
        )
        assert [purge.src_image for purge, _ in await one.inbox.purges_of(stored.id)] == [PICTURE]
        assert (await one.only(ReceiptStatus.ACCEPTED)).reason is None


async def test_what_is_remembered_is_purged_at_once(tmp_path: Path) -> None:
    async with relay(tmp_path, sources={"hook": SOURCE}) as one:
        await post(one, body(url=PICTURE))
        one.clock.advance(1)
        await post(one, body())
        assert (len(one.woken), one.looking_up) == (2, ["hook"])
        one.clock.advance(1)
        await post(one, body("asset.deleted"))
        assert (len(one.woken), one.looking_up) == (3, ["hook"])


async def test_an_address_that_cannot_be_made_is_told_and_can_be_replayed(tmp_path: Path) -> None:
    async with relay(tmp_path, sources={"hook": SOURCE}) as one:
        told = await post(one, body(brand=None))
        assert told.json["status"] == "unmatched"
        assert one.looking_up == []
        stored = await one.only(ReceiptStatus.UNMATCHED)
        assert stored.reason == "resolve.url: a value is nothing (null), not text"
        mended = build_pipelines(
            Settings(projects=dict(PROJECTS), sources={"hook": fixed("https://api.example/{{ asset.id }}")}), no_table
        )["hook"]
        again = await replay(stored, mended, one.inbox, one.clock.now)
        assert (again.status, again.reason, again.lookups) == (ReceiptStatus.ACCEPTED, WAITING, True)


def fixed(url: str) -> Source:
    return Source(provider="standard-webhooks", secrets=SOURCES["hook"].secrets, resolve=Resolve(url=url))


def no_table(name: str) -> bytes:
    raise FileNotFoundError(name)


def planned(told: bytes, memory: AssetMemory | None = None) -> PlannedEvent:
    pipeline = build_pipelines(Settings(projects=dict(PROJECTS), sources={"hook": SOURCE}), no_table)["hook"]
    verified = restore(source="hook", scheme="test", headers={}, body=told, received_at=NOW, signed_at=None)
    notification = pipeline.read(verified)
    return pipeline.planner(notification, verified)(notification.events[0], memory)


def test_what_the_memory_makes_of_the_kind_stands_when_the_answer_is_there() -> None:
    first = planned(body("asset.updated", etag="one"))
    second = planned(body("asset.updated", etag="two"), first.memory)
    assert second.lookup is not None
    assert second.lookup.event.urls == ()
    assert second.lookup.event.kind is second.event.kind


def test_a_source_without_resolve_looks_nothing_up() -> None:
    pipeline = build_pipelines(Settings(projects=dict(PROJECTS), sources={"hook": SOURCES["hook"]}), no_table)["hook"]
    verified = restore(source="hook", scheme="test", headers={}, body=body(), received_at=NOW, signed_at=None)
    notification = pipeline.read(verified)
    outcome = pipeline.planner(notification, verified)(notification.events[0], None)
    assert (outcome.lookup, outcome.failed) == (None, None)
    assert outcome.event.kind is AssetKind.REPLACED


@pytest.mark.parametrize("status", [ReceiptStatus.IGNORED, ReceiptStatus.TEST])
async def test_the_verdict_on_what_has_no_events_stays(tmp_path: Path, status: ReceiptStatus) -> None:
    async with relay(tmp_path, sources={"hook": SOURCE}) as one:
        await post(one, body())
        (stored,) = await one.receipts()
        assert restored(stored).body == body()
        new = NewReceipt(
            id=stored.id,
            source="hook",
            status=status,
            reason="why",
            scheme=None,
            method="POST",
            path="/",
            headers={},
            body=b"",
            body_bytes=0,
            received_at=NOW,
        )
        assert verdict(new, [planned(body())]) == (status, "why")
