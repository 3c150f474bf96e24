"""Adobe's two keys, Contentstack's one of a region and Canto's secret, from the first question to what is stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.intake import Relay, ask, relay
from support.senders import changed, private_pem, public_pem, rsa_key, secrets
from support.vectors import cases

from service.domain.purges import ReceiptStatus
from service.domain.requests import RawRequest
from service.settings.model import Source

CLIENT = "c5a34355b7f5491f8277b8dd63f0bfa3"
STACK = "blt0000000000000022"
PATHS = ("/prod/keys/pub-key-1.pem", "/prod/keys/pub-key-2.pem")
KEYS = [f"https://static.adobeioevents.com{path}" for path in PATHS]
REGION = "https://eu-app.contentstack.com/.well-known/public-keys.json"
SOURCES = {
    "adobe": Source(provider="adobe-io-events", project_id=CLIENT, bases={"a": "https://publish.example.com/"}),
    "stack": Source(provider="contentstack", project_id=STACK, region="eu"),
    "canto": Source(provider="canto", secrets=secrets("fake-canto-token")),
}
OTHER_KEY = next(iter(cases("adobe-io-events")[0].values[0]["public_keys"].values()))


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Relay]:
    async with relay(tmp_path, sources=SOURCES) as running:
        yield running


def sample(running: Relay, source: str) -> RawRequest:
    """As the vendor signs it, with the tests' key in place of the published one."""
    provider = running.pipelines[source].provider
    chosen = next(iter(type(provider).samples(running.clock.now).values()))
    return provider.sign(chosen, f"/hooks/{source}", running.clock.now, private_pem(rsa_key()))


def of_adobe(running: Relay) -> RawRequest:
    paths = zip(("x-adobe-public-key1-path", "x-adobe-public-key2-path"), PATHS, strict=True)
    return changed(sample(running, "adobe"), dict(paths))


async def test_adobe_s_challenge(started: Relay) -> None:
    told = await ask(started.app, method="GET", path="/hooks/adobe?challenge=8ec8d794-e0ab", body=[b""])
    assert told is not None
    assert (told.status, told.body, told.headers["content-type"]) == (200, b"8ec8d794-e0ab", "text/plain")
    assert told.headers["x-content-type-options"] == "nosniff"
    for path in ("/hooks/adobe?challenge=<b>", "/hooks/adobe", "/hooks/canto?challenge=a"):
        refused = await ask(started.app, method="GET", path=path, body=[b""])
        assert refused is not None
        assert refused.status == 405


async def test_adobe_s_question_by_post_leaves_nothing_behind(started: Relay) -> None:
    asked = {"validationUrl": "https://csm.adobe.io/csm/registrations/validate?id=1&challenge=2"}
    told = await ask(started.app, method="POST", path="/hooks/adobe", body=[json.dumps(asked).encode()])
    assert told is not None
    assert (told.status, told.body) == (200, b"")
    await started.kept()
    assert await started.receipts() == []
    assert started.network.confirmed == []


async def test_either_of_adobe_s_keys(started: Relay) -> None:
    request = of_adobe(started)
    assert (await started.send(request)).status == 503, "neither key is to be had"
    started.network.keys[KEYS[1]] = public_pem(rsa_key()).encode()
    assert (await started.send(request)).status == 200
    started.network.keys = {KEYS[0]: OTHER_KEY.encode(), KEYS[1]: OTHER_KEY.encode()}
    assert (await started.send(request)).status == 401


async def test_a_region_s_new_key_is_fetched_once_it_is_used(started: Relay) -> None:
    request = sample(started, "stack")
    started.network.keys[REGION] = json.dumps({"signing-key": OTHER_KEY}).encode()
    assert (await started.send(request)).status == 401
    started.network.newer[REGION] = json.dumps({"signing-key": public_pem(rsa_key())}).encode()
    assert (await started.send(request)).status == 200
    assert started.network.refetched == [REGION, REGION]


async def test_canto_s_token_is_stored_nowhere(started: Relay) -> None:
    request = changed(sample(started, "canto"), path="/hooks/canto?event=deleted")
    assert b"fake-canto-token" in request.body
    assert (await started.send(request)).status == 200
    receipt = await started.only(ReceiptStatus.UNMATCHED)
    assert (receipt.scheme, receipt.path) == ("canto-secret deleted", "/hooks/canto?event=deleted")
    assert b"fake-canto-token" not in (receipt.body or b"")
    forged = changed(request, body=request.body.replace(b"fake-canto-token", b"fake-other-token"))
    assert (await started.send(forged)).status == 401
    await started.kept()
    assert all(b"fake-other-token" not in (one.body or b"") for one in await started.receipts())
