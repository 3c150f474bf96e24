"""Requests before and beside webhooks: handshakes, challenges, published keys that change, secrets inside a body."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec.structs import replace
from support.intake import Keyed, Relay, Told, ask, keyed_pipeline, relay
from support.told import logged

from service.domain.errors import KeyUnknown, Refused
from service.domain.events import Challenge, Notification
from service.domain.purges import ReceiptStatus
from service.domain.requests import Authentic, Greeting, RawRequest, Verified
from service.providers.base import Info
from service.settings.model import Source

ONE, TWO = "https://keys.example/1", "https://keys.example/2"


class Shaking(Keyed):
    """Names its keys in `x-key-url`, several by commas; greets, challenges, and puts its secret into the body."""

    info: ClassVar[Info] = replace(
        Keyed.info, name="shaking", handshake_methods=("GET", "HEAD"), success_status=200, unreadable_status=200
    )

    def greeting(self, request: RawRequest, now: datetime) -> Greeting | None:
        match request.path.partition("?")[2]:
            case "hello":
                return Greeting(reason="asked for hello", headers={"x-greeting": "yes"}, body=b"hello", status=201)
            case "evil":
                raise Refused("greeting_refused", "not you")
        return None

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        return tuple(request.required("x-key-url").split(","))

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        if key is not None and request.header("x-key-id") and request.required("x-key-id").encode() not in key:
            raise KeyUnknown("there is no such key")
        if key is None or request.required("x-signature").encode() not in key.split(b"\n"):
            raise Refused("signature_mismatch")
        return Authentic("shaking")

    def read(self, request: Verified) -> Notification:
        if request.body.startswith(b"challenge"):
            return Notification(payload=None, instead=Challenge(b'{"answer":42}', "asks for 42"))
        return super().read(request)

    def stored_body(self, body: bytes) -> bytes:
        return body.replace(b"inner-secret", b"***")


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Relay]:
    async with relay(tmp_path) as running:
        provider = Shaking("shaking", Source(provider="shaking"))
        running.pipelines["shaking"] = replace(keyed_pipeline(running.pipelines), name="shaking", provider=provider)
        yield running


async def post(running: Relay, body: bytes = b"asset a1", **headers: str) -> Told:
    """A webhook signed with the first key, whose headers `x_signature` and the like replace."""
    given = {"x_key_url": ONE, "x_signature": "fake-key"} | headers
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()]
    told = await ask(running.app, method="POST", path="/hooks/shaking", headers=pairs, body=[body])
    assert told is not None
    return told


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_greeting_is_answered_and_leaves_nothing_behind(started: Relay, method: str) -> None:
    with logged() as lines:
        told = await ask(started.app, method=method, path="/hooks/shaking?hello", body=[b""])
    assert told is not None
    assert (told.status, told.headers["x-greeting"], told.body) == (201, "yes", b"hello")
    await started.kept()
    assert await started.receipts() == []
    assert [(line["verdict"], line["detail"]) for line in lines] == [("handshake", "asked for hello")]


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [("GET", "", 405), ("HEAD", "", 405), ("OPTIONS", "hello", 405), ("GET", "evil", 401), ("POST", "evil", 401)],
)
async def test_what_is_no_greeting(started: Relay, method: str, query: str, status: int) -> None:
    told = await ask(started.app, method=method, path=f"/hooks/shaking?{query}", body=[b""])
    assert told is not None
    assert (told.status, told.headers.get("allow")) == (status, "POST" if status == 405 else None)


async def test_a_challenge_is_verified_stored_and_answered_each_time(started: Relay) -> None:
    for _ in range(2):
        told = await post(started, b"challenge")
        assert (told.status, told.headers["content-type"], told.json) == (200, "application/json", {"answer": 42})
    receipt = await started.only(ReceiptStatus.TEST)
    assert (receipt.reason, receipt.deliveries) == ("asks for 42", 2)
    assert (await post(started, b"challenge", x_signature="forged")).status == 401


async def test_a_sender_that_would_switch_itself_off_is_told_that_all_is_well(started: Relay) -> None:
    with logged() as lines:
        told = await post(started, b"what is that")
    receipt = await started.only(ReceiptStatus.UNREADABLE)
    assert (told.status, told.json) == (200, {"receipt": receipt.id, "status": "unreadable"})
    assert [(line["status"], line["verdict"]) for line in lines] == [(200, "unreadable")]


async def test_an_unknown_key_id_has_the_keys_fetched_once_more(started: Relay) -> None:
    assert (await post(started, x_key_id="new")).status == 401
    assert started.network.refetched == [ONE]
    started.network.newer[ONE] = b"new\nfake-key"
    assert (await post(started, x_key_id="new")).status == 200
    assert (await post(started, x_key_id="newer")).status == 401
    started.network.broken.add(ONE)
    assert (await post(started, x_key_id="newer")).status == 503, "nobody can tell whether it is genuine"


async def test_of_two_keys_one_is_enough(started: Relay) -> None:
    both = f"{TWO},{ONE}"
    assert (await post(started, x_key_url=both)).status == 200
    assert (await post(started, x_key_url=both, x_signature="other")).status == 503, "the missing one may be right"
    started.network.keys[TWO] = b"other"
    assert (await post(started, x_key_url=both, x_signature="other")).status == 200
    assert (await post(started, x_key_url=both, x_signature="neither")).status == 401
    started.network.keys.clear()
    assert (await post(started, x_key_url=both)).status == 503


@pytest.mark.parametrize(
    ("body", "signature", "status"),
    [
        (b"challenge inner-secret", "fake-key", ReceiptStatus.TEST),
        (b"what is inner-secret", "fake-key", ReceiptStatus.UNREADABLE),
        (b"asset inner-secret", "forged", ReceiptStatus.REFUSED),
    ],
)
async def test_a_secret_inside_a_body_is_not_stored(
    started: Relay, body: bytes, signature: str, status: ReceiptStatus
) -> None:
    await post(started, body, x_signature=signature)
    await started.kept()
    receipt = await started.only(status)
    assert (receipt.body, receipt.whole) == (body.replace(b"inner-secret", b"***"), True)
    assert b"inner-secret" not in Path(started.engine.path).with_name("relay.db-wal").read_bytes()
