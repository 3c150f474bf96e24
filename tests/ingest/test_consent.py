"""Event Grid's and CloudEvents' handshakes through the application: who is answered, and with what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.intake import Relay, Told, ask, relay

from service.domain.purges import ReceiptStatus
from service.domain.secret import Secret
from service.providers.credentials import make_capability
from service.settings.model import Auth, Source

SECRET = "fake-event-grid-secret"
ORIGIN = "eventgrid.azure.net"
SOURCES = {
    "query": Source(provider="azure-eventgrid", secrets=[Secret(SECRET)], auth=Auth(query="code")),
    "header": Source(provider="azure-eventgrid", secrets=[Secret(SECRET)], auth=Auth(header="X-Relay-Key")),
    "gate": Source(provider="azure-eventgrid", secrets=[Secret(SECRET)], auth=Auth(capability=True)),
    "events": Source(provider="cloudevents", secrets=[Secret(SECRET)], allowed_origins=["events.example.com"]),
    "closed": Source(provider="cloudevents", secrets=[Secret(SECRET)]),
}
KEY = make_capability("gate", [SECRET])
EVIL = make_capability("gate", ["another secret"])


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Relay]:
    async with relay(tmp_path, sources=SOURCES) as running:
        yield running


async def options(running: Relay, path: str, origin: str | None, **headers: str) -> Told:
    given = {"webhook-request-origin": origin, "webhook-request-callback": "http://169.254.169.254/", **headers}
    pairs = [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
    told = await ask(running.app, method="OPTIONS", path=f"/hooks/{path}", headers=pairs)
    assert told is not None
    return told


@pytest.mark.parametrize(
    ("path", "origin", "headers"),
    [
        (f"query?code={SECRET}", ORIGIN, {}),
        ("header", ORIGIN, {"x-relay-key": SECRET}),
        (f"gate/{KEY}", ORIGIN, {}),
        ("events", "events.example.com", {}),
    ],
)
async def test_consent_is_given_and_leaves_nothing_behind(
    started: Relay, path: str, origin: str, headers: dict[str, str]
) -> None:
    told = await options(started, path, origin, **headers)
    assert told.status == 200
    assert told.headers["webhook-allowed-origin"] == origin
    assert (told.headers["webhook-allowed-rate"], told.headers["allow"]) == ("*", "POST")
    await started.kept()
    assert await started.receipts() == []


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("query?code=wrong", ORIGIN, 401),
        ("query", ORIGIN, 401),
        (f"query?code={SECRET}", "evil.example", 401),
        (f"query?code={SECRET}", "*", 401),
        (f"query?code={SECRET}", None, 405),
        ("header", ORIGIN, 401),
        ("gate", ORIGIN, 401),
        (f"gate/{EVIL}", ORIGIN, 401),
        ("events", ORIGIN, 401),
        ("closed", "events.example.com", 405),
    ],
)
async def test_consent_is_not_given(started: Relay, path: str, origin: str | None, status: int) -> None:
    told = await options(started, path, origin)
    assert told.status == status
    assert not [name for name in told.headers if name.startswith("webhook-allowed")]


async def test_the_validation_is_answered_behind_the_secret_alone(started: Relay) -> None:
    told = await started.post("query", "validation")
    receipt = await started.only(ReceiptStatus.TEST)
    assert receipt.body is not None
    assert told.status == 200
    assert set(told.json) == {"validationResponse"}
    assert told.json["validationResponse"].encode() in receipt.body
    assert SECRET not in receipt.path
    refused = await started.send(started.signed("query", "validation"), path="/hooks/query")
    assert (refused.status, "validationResponse" in refused.body.decode()) == (401, False)


async def test_a_pushed_event_is_stored(started: Relay) -> None:
    told = await started.post("query")
    assert (told.status, told.json["status"]) == (200, "accepted")
