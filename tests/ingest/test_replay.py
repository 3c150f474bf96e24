"""A stored webhook once more, through today's rules and secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.intake import CONTENTFUL_SECRET, NOW, SOURCES, Relay, relay

from service.domain.errors import CommandFailed, KeyUnavailable
from service.domain.purges import ReceiptStatus
from service.domain.receipts import Receipt
from service.domain.secret import Secret
from service.ingest.pipeline import Pipeline, build_pipelines
from service.ingest.ports import Stored
from service.ingest.replay import replay
from service.providers.base import Sample
from service.settings.model import Project, Rule, Settings, Source

LATER = NOW + timedelta(days=3)


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Relay]:
    broken = Rule(name="broken", src_images=["{{ payload.nothing.there }}"])
    old = [Secret("an-old-secret-" + "0" * 50)]
    sources = {
        "hook": Source(provider="standard-webhooks", secrets=SOURCES["hook"].secrets, rules=[broken]),
        "cms": Source(provider="contentful", secrets=old),
        "basic": SOURCES["basic"],
    }
    async with relay(tmp_path, sources=sources) as running:
        yield running


def fixed(name: str = "hook") -> Pipeline:
    """The source as it is after its operator has seen to it."""
    settings = Settings(projects={"shop": Project(project="my-shop")}, sources=dict(SOURCES))
    return build_pipelines(settings, lambda _: b"")[name]


async def latest(running: Relay) -> Receipt:
    return (await running.receipts())[0]


async def again(running: Relay, pipeline: Pipeline | None = None) -> Stored:
    return await replay(await latest(running), pipeline or fixed(), running.inbox, LATER, running.network)


async def test_after_the_rule_is_fixed(started: Relay) -> None:
    assert (await started.post("hook")).json["status"] == "unmatched"
    assert "nothing" in str((await latest(started)).reason)
    before = await latest(started)
    stored = await again(started)
    assert (stored.id, stored.status, stored.purges) == (before.id, ReceiptStatus.ACCEPTED, 2)
    after = await started.only(ReceiptStatus.ACCEPTED)
    assert (after.id, after.received_at, after.signed_at, after.reason) == (before.id, NOW, NOW, None)
    purges = await started.inbox.purges_of(after.id)
    assert {(purge.created_at, purge.due_at, rule) for purge, rule in purges} == {
        (LATER, LATER + timedelta(seconds=2), "default")
    }
    assert [images["images"] for images in after.trace[0]["rules"]] != [[]]


async def test_the_event_stays_known(started: Relay) -> None:
    request = started.signed("hook")
    first = await started.send(request)
    await again(started)
    assert (await started.send(request)).json == {"receipt": first.json["receipt"], "status": "duplicate"}


async def test_with_the_secret_corrected_a_refused_one_is_judged_at_its_own_time(started: Relay) -> None:
    provider = fixed("cms").provider
    request = provider.sign(next(iter(type(provider).samples(NOW).values())), "/hooks/cms", NOW)
    assert (await started.send(request)).status == 401
    await started.kept()
    refused = await started.only(ReceiptStatus.REFUSED)
    stored = await again(started, fixed("cms"))
    assert (stored.id, stored.status) == (refused.id, ReceiptStatus.ACCEPTED)
    receipt = await started.only(ReceiptStatus.ACCEPTED)
    assert (receipt.scheme, receipt.signed_at) == ("contentful-v1", NOW)
    other = replace(fixed("cms"), provider=started.pipelines["cms"].provider)
    with pytest.raises(CommandFailed, match="is still refused: signature_mismatch"):
        await replay(refused, other, started.inbox, LATER)
    assert CONTENTFUL_SECRET not in repr(receipt)


async def test_a_refused_event_that_came_again_and_was_accepted_is_a_duplicate(started: Relay) -> None:
    request = started.signed("keyed")
    await started.send(request, headers=[(b"x-key-url", b"https://keys.example/2"), (b"x-signature", b"late")])
    await started.kept()
    started.network.keys["https://keys.example/2"] = b"wrong"
    await started.send(request, headers=[(b"x-key-url", b"https://keys.example/2"), (b"x-signature", b"late")])
    await started.kept()
    refused = await started.only(ReceiptStatus.REFUSED)
    accepted = await started.send(request)
    assert accepted.status == 204
    started.network.keys["https://keys.example/2"] = b"late"
    stored = await replay(refused, started.pipelines["keyed"], started.inbox, LATER, started.network)
    assert (stored.status, stored.id != refused.id) == (ReceiptStatus.DUPLICATE, True)


async def refuse(running: Relay, body: bytes) -> Receipt:
    """A request of the keyed source that was signed with a key nobody had at the time."""
    running.network.keys["https://keys.example/3"] = b"old"
    headers = [(b"x-key-url", b"https://keys.example/3"), (b"x-signature", b"new")]
    assert (await running.post("keyed", body=[body], headers=headers)).status == 401
    await running.kept()
    running.network.keys["https://keys.example/3"] = b"new"
    return await running.only(ReceiptStatus.REFUSED)


async def test_a_refused_one_may_take_a_key_from_the_network(started: Relay) -> None:
    receipt = await refuse(started, b"asset a1")
    with pytest.raises(CommandFailed, match=r"takes the key at https://keys\.example/3$"):
        await replay(receipt, started.pipelines["keyed"], started.inbox, LATER)
    started.network.keys.clear()
    with pytest.raises(KeyUnavailable):
        await again(started, started.pipelines["keyed"])
    started.network.keys["https://keys.example/3"] = b"new"
    pipeline = replace(started.pipelines["keyed"], rules=fixed().rules)
    assert (await again(started, pipeline)).status is ReceiptStatus.ACCEPTED


async def test_a_refused_confirmation_is_confirmed(started: Relay) -> None:
    receipt = await refuse(started, b"confirm https://confirm.example/1")
    pipeline = started.pipelines["keyed"]
    assert (await replay(receipt, pipeline, started.inbox, LATER, started.network)).status is ReceiptStatus.TEST
    assert started.network.confirmed == ["https://confirm.example/1"]
    stored = await started.only(ReceiptStatus.TEST)
    with pytest.raises(CommandFailed, match="asks for a confirmation over the network: wants to be confirmed"):
        await replay(stored, pipeline, started.inbox, LATER)


async def test_an_unreadable_one(started: Relay) -> None:
    provider = started.pipelines["hook"].provider
    await started.send(provider.sign(Sample(b"not json"), "/hooks/hook", NOW))
    with pytest.raises(CommandFailed, match="still cannot be read: the body is not JSON"):
        await again(started)


async def test_what_was_cut_or_came_with_a_credential_is_gone(started: Relay) -> None:
    await started.post("hook", body=[b"x" * 20000])
    await started.post("basic", headers=[(b"authorization", b"Basic Y21zOndyb25n")])
    await started.kept()
    (cut,) = await started.receipts(source="hook")
    (refused,) = await started.receipts(source="basic")
    with pytest.raises(CommandFailed, match="of its 20000 bytes only 16384 were kept; have its sender send it again"):
        await replay(cut, fixed(), started.inbox, LATER)
    (listed,) = await started.inbox.list(source="hook")
    with pytest.raises(CommandFailed, match="of its 20000 bytes only 0 were kept"):
        await replay(listed, fixed(), started.inbox, LATER)
    with pytest.raises(CommandFailed, match="the credential it came with was not kept"):
        await replay(refused, fixed("basic"), started.inbox, LATER)
