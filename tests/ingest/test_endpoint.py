"""Contract §2: every answer of `POST /hooks/{source}`, and what is stored of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.intake import GATE_SECRET, NOW, PROJECTS, SOURCES, BrokenInbox, Relay, ask, relay
from support.told import logged

from service.domain.purges import ReceiptStatus
from service.domain.secret import Secret
from service.ingest.pipeline import REFUSED_BODY_BYTES
from service.providers.base import Sample
from service.providers.credentials import make_capability
from service.settings.model import Limits, Project, Rule, Source

KIB = 1024


@pytest.fixture(params=[False, True], ids=["asgi", "whole"])
async def started(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Relay]:
    async with relay(tmp_path, whole=request.param) as running:
        yield running


# -- what is acknowledged


@pytest.mark.parametrize(
    ("source", "event"), [("cms", "publish"), ("cms", "delete"), ("hook", "asset.replaced"), ("gate", "asset.deleted")]
)
async def test_a_signed_webhook_is_committed_and_acknowledged(started: Relay, source: str, event: str) -> None:
    request = started.signed(source, event)
    told = await started.send(request)
    assert told.status == 200
    assert told.headers["content-type"] == "application/json"
    assert told.headers["x-request-id"].startswith("req_")
    receipt = (await started.receipts())[0]
    status = "unmatched" if (source, event) == ("cms", "delete") else "accepted"
    assert told.json == {"receipt": receipt.id, "status": status}
    assert (receipt.status, receipt.body, receipt.whole) == (status, request.body, True)
    purges = await started.inbox.purges_of(receipt.id)
    assert started.woken == ([{"shop"}] if purges else [])
    assert bool(purges) is (status == "accepted")


async def test_a_second_delivery_is_a_duplicate_and_wakes_nobody(started: Relay) -> None:
    request = started.signed("hook")
    first, second = [await started.send(request) for _ in range(2)]
    assert second.status == 200
    assert second.json == {"receipt": first.json["receipt"], "status": "duplicate"}
    assert (await started.only(ReceiptStatus.ACCEPTED)).deliveries == 2
    assert len(started.woken) == 1


async def test_what_is_about_no_image_is_ignored(started: Relay) -> None:
    headers = {"x-contentful-topic": "ContentManagement.Entry.publish"}
    provider = started.pipelines["cms"].provider
    sample = type(provider).samples(NOW)["publish"]
    request = provider.sign(Sample(sample.body, {**sample.headers, **headers}), "/hooks/cms", NOW)
    told = await started.send(request)
    assert (told.status, told.json["status"]) == (200, "ignored")
    assert started.woken == []


async def test_a_purge_that_may_not_be_sent_wakes_nobody(tmp_path: Path) -> None:
    sources = {"hook": Source(provider="standard-webhooks", secrets=SOURCES["hook"].secrets)}
    projects = {"shop": Project(project="my-shop", max_src_image_bytes=5)}
    async with relay(tmp_path, sources=sources, projects=projects) as running:
        assert (await running.post("hook")).json["status"] == "accepted"
        assert running.woken == []


async def test_every_project_that_got_work_is_woken(tmp_path: Path) -> None:
    projects = {**PROJECTS, "blog": Project(project="my-blog"), "idle": Project(project="my-idle")}
    rules = [Rule(projects=["shop"]), Rule(projects=["blog"])]
    secrets = SOURCES["hook"].secrets
    sources = {"hook": Source(provider="standard-webhooks", secrets=secrets, projects=["shop"], rules=rules)}
    async with relay(tmp_path, sources=sources, projects=projects) as running:
        await running.post("hook")
        assert running.woken == [{"shop", "blog"}]


async def test_a_sender_that_wants_another_code_gets_it(started: Relay) -> None:
    told = await started.post("keyed")
    assert (told.status, told.body) == (204, b"")
    assert "content-type" not in told.headers
    assert (await started.only(ReceiptStatus.ACCEPTED)).scheme == "keyed"


# -- what is refused


def basic(password: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Basic " + base64.b64encode(f"cms:{password}".encode()))]


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("cms", {"body": [b"{}"]}, "signature_mismatch"),
    ("cms", {"headers": []}, "signature_missing"),
    ("cms", {"path": "/hooks/cms?forged=1"}, "signature_mismatch"),
    ("hook", {"headers": [(b"webhook-id", b"a"), (b"webhook-id", b"b")]}, "header_repeated"),
    ("hook", {"headers": [(b"webhook-signature", b"\xff\xfe"), (b"webhook-id", b"\x00")]}, "signature_malformed"),
    ("hook", {"path": "/hooks/hook/any-key"}, "capability_unexpected"),
    ("hook", {"path": "/hooks/hook/%ff%00%E2%82%AC"}, "capability_unexpected"),
    ("gate", {"path": "/hooks/gate"}, "credential_missing"),
    ("gate", {"path": "/hooks/gate", "headers": [(b":capability", b"forged")]}, "credential_missing"),
    ("gate", {"path": "/hooks/gate/wrong"}, "capability_invalid"),
    ("gate", {"path": "/hooks/gate/%E2%82%AC"}, "header_malformed"),
    ("gate", {"path": "/hooks/gate/" + make_capability("hook", [GATE_SECRET])}, "capability_for_another_source"),
    ("basic", {"headers": basic("wrong")}, "credential_mismatch"),
    ("basic", {"headers": [(b"authorization", b"Basic \xff")]}, "credential_malformed"),
    ("keyed", {"headers": [(b"x-key-url", b"https://evil.example/1")]}, "key_host"),
    ("keyed", {"headers": [(b"x-key-url", b"https://keys.example/1")]}, "signature_missing"),
]


@pytest.mark.parametrize(("source", "changes", "reason"), REFUSALS)
async def test_a_request_that_does_not_verify(
    started: Relay, source: str, changes: dict[str, Any], reason: str
) -> None:
    with logged() as lines:
        told = await started.post(source, **changes)
    assert (told.status, told.code) == (401, "unauthorized")
    assert told.json["error"]["message"] == "the request is not authenticated"
    assert await started.receipts() == [], "a refusal waits for no commit"
    assert [(line["verdict"], line["reason"], line["status"]) for line in lines] == [("refused", reason, 401)]
    await started.kept()
    receipt = await started.only(ReceiptStatus.REFUSED)
    assert lines[0]["receipt"] == receipt.id
    assert receipt.reason is not None
    # What only says the same in other words is left out.
    assert receipt.reason == reason or receipt.reason.startswith(f"{reason}: ")
    assert receipt.reason != f"{reason}: {reason.replace('_', ' ')}"
    assert started.woken == []


@pytest.mark.parametrize(
    ("source", "headers", "challenge"),
    [
        ("basic", [], 'Basic realm="vercel-image-relay"'),
        ("basic", basic("wrong"), 'Basic realm="vercel-image-relay"'),
        ("cms", [], None),
        ("gate", [], None),
    ],
)
async def test_basic_credentials_are_asked_for(
    started: Relay, source: str, headers: list[tuple[bytes, bytes]], challenge: str | None
) -> None:
    told = await started.post(source, path=f"/hooks/{source}", headers=headers)
    assert (told.status, told.headers.get("www-authenticate")) == (401, challenge)


async def test_all_refusals_look_the_same(started: Relay) -> None:
    told = [await started.post(source, **changes) for source, changes, _ in REFUSALS]
    varies = {"x-request-id", "www-authenticate"}  # what a source asks for, it asks for whatever the reason
    seen = {(one.status, one.body, tuple(sorted(set(one.headers) - varies))) for one in told}
    assert len(seen) == 1
    asked = {(source, one.headers.get("www-authenticate")) for (source, _, _), one in zip(REFUSALS, told, strict=True)}
    assert len(asked) == len({source for source, _, _ in REFUSALS})


async def test_of_a_refused_request_the_beginning_is_kept(started: Relay) -> None:
    body = b"x" * (100 * KIB)
    headers = [(b"webhook-id", b"msg_1"), (b"authorization", b"Bearer fake-token"), (b"cookie", b"fake=1")]
    await started.post("hook", body=[body], headers=headers)
    await started.kept()
    receipt = await started.only(ReceiptStatus.REFUSED)
    assert (receipt.body, receipt.body_bytes, receipt.whole) == (body[:REFUSED_BODY_BYTES], len(body), False)
    assert receipt.headers == {"webhook-id": "msg_1"}
    assert receipt.received_at == NOW


async def test_a_refused_request_does_not_use_up_its_event_id(started: Relay) -> None:
    request = started.signed("hook")
    await started.send(request, headers=[(b"webhook-id", b"msg_1")])
    await started.kept()
    assert (await started.send(request)).json["status"] == "accepted"


@pytest.mark.parametrize(
    ("source", "path", "stored"),
    [
        ("gate", None, "/hooks/gate/***"),
        ("gate", "/hooks/gate/wrong?a=1", "/hooks/gate/***?a=1"),
        ("gate", "/hooks/gate?a=1", "/hooks/gate?a=1"),
        ("hook", "/hooks/hook/was-once-a-key", "/hooks/hook/***"),
        ("hook", "/hooks/hook?a=%41", "/hooks/hook?a=%41"),
    ],
)
async def test_no_key_is_stored(started: Relay, source: str, path: str | None, stored: str) -> None:
    await started.post(source, **({} if path is None else {"path": path}))
    await started.kept()
    (receipt,) = await started.receipts()
    assert receipt.path == stored


# -- what is verified and of no use


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"\xff\xfe", b"[" * 5000, b'{"a": 1' + b"0" * 400 + b"}", b'"\\ud800"', b"\x1f\x8b\x08"]
)
async def test_an_unreadable_body_is_kept_whole(started: Relay, body: bytes) -> None:
    provider = started.pipelines["hook"].provider
    request = provider.sign(Sample(body), "/hooks/hook", NOW)
    told = await started.send(request)
    assert (told.status, told.code) == (400, "unreadable")
    receipt = await started.only(ReceiptStatus.UNREADABLE)
    assert (receipt.body, receipt.scheme, receipt.signed_at) == (body, "standard-webhooks-v1", NOW)
    assert receipt.id in told.json["error"]["message"]


@pytest.mark.parametrize("whole", [False, True])
async def test_too_many_events_in_one_body_are_unreadable(tmp_path: Path, whole: bool) -> None:
    async with relay(tmp_path, limits=Limits(events_per_request=0), whole=whole) as running:
        assert (await running.post("hook")).code == "unreadable"
        reason = (await running.only(ReceiptStatus.UNREADABLE)).reason
        assert reason == "the body holds 1 events, limits.events_per_request allows 0"


# -- confirmations and keys


async def confirmation(running: Relay, url: str) -> Any:
    return await running.post("keyed", body=[b"confirm " + url.encode()])


async def test_a_subscription_is_confirmed_before_the_answer(started: Relay) -> None:
    told = await confirmation(started, "https://confirm.example/1")
    assert told.status == 204
    assert started.network.confirmed == ["https://confirm.example/1"]
    receipt = await started.only(ReceiptStatus.TEST)
    assert receipt.reason == "wants to be confirmed"


async def test_a_confirmation_that_fails_is_tried_again_by_the_sender(started: Relay) -> None:
    started.network.broken.add("https://confirm.example/1")
    told = await confirmation(started, "https://confirm.example/1")
    assert (told.status, told.code, told.headers["retry-after"]) == (503, "unavailable", "10")
    assert await started.receipts() == []
    started.network.broken.clear()
    assert (await confirmation(started, "https://confirm.example/1")).status == 204


async def test_without_the_key_nobody_can_judge(started: Relay) -> None:
    started.network.keys.clear()
    with logged() as lines:
        told = await started.post("keyed")
    assert (told.status, told.code, told.headers["retry-after"]) == (503, "unavailable", "10")
    assert (lines[0]["verdict"], lines[0]["reason"], lines[0]["log_level"]) == (
        "unavailable",
        "key_unavailable",
        "warning",
    )


# -- the store


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize(("source", "changes"), [("hook", {}), ("keyed", {"body": [b"unreadable"]})])
async def test_what_is_not_stored_is_never_acknowledged(
    tmp_path: Path, source: str, changes: dict[str, Any], each: bool, whole: bool
) -> None:
    async with relay(tmp_path, inbox=BrokenInbox(each=each), whole=whole) as running:
        with logged() as lines:
            told = await running.post(source, **changes)
        assert (told.status, told.code, told.headers["retry-after"]) == (503, "unavailable", "10")
        assert [(line["reason"], line["detail"]) for line in lines] == [("store_unavailable", "the disk is full")]
        assert running.woken == []
        assert (await running.health.check()).reasons == ("the disk is full",)


async def test_a_refusal_needs_no_store(tmp_path: Path) -> None:
    async with relay(tmp_path, inbox=BrokenInbox()) as running:
        assert (await running.post("hook", headers=[])).status == 401


async def test_a_bug_is_a_503_with_its_traceback_in_the_log(started: Relay) -> None:
    with logged() as lines:
        told = await started.post("keyed", body=[b"bug"])
    assert (told.status, told.code) == (503, "unavailable")
    assert b"ZeroDivision" not in told.body
    failed, wide = lines
    assert (failed["event"], failed["exc_info"][0], wide["verdict"]) == ("webhook.failed", ZeroDivisionError, "failed")
    assert failed["request_id"] == wide["request_id"] == told.headers["x-request-id"]


# -- size and time


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"content-length", b"1025")], [None]),
        ([(b"content-length", b"99999999999999999999")], [b"x" * 1025]),
        ([(b"content-length", b"10"), (b"content-length", b"1025")], [None]),
        ([(b"content-length", b"1")], [b"x" * 1025]),
        ([], [b"x" * 1024, b"x", None]),
        ([], [b"x"] * 1025 + [None]),
        ([(b"content-length", b"\xb2")], [b"x" * 1025, None]),
    ],
)
async def test_a_body_over_the_limit(
    tmp_path: Path, headers: list[tuple[bytes, bytes]], body: list[bytes | None]
) -> None:
    async with relay(tmp_path, limits=Limits(body_bytes=KIB)) as running:
        with logged() as lines:
            told = await running.post("hook", headers=headers, body=body)
        assert (told.status, told.code, told.headers["connection"]) == (413, "too_large", "close")
        assert [(line["verdict"], line["bytes"]) for line in lines] == [("too_large", None)]
        assert await running.receipts() == []


async def test_a_body_that_came_whole_and_is_over_the_limit(tmp_path: Path) -> None:
    async with relay(tmp_path, limits=Limits(body_bytes=KIB), whole=True) as running:
        with logged() as lines:
            told = await running.post("hook", body=[b"x" * 1025])
        assert (told.status, told.code, told.headers["connection"]) == (413, "too_large", "close")
        assert [(line["verdict"], line["bytes"]) for line in lines] == [("too_large", None)]
        assert (await running.post("hook")).status == 200


async def test_a_body_of_exactly_the_limit_in_pieces(tmp_path: Path) -> None:
    async with relay(tmp_path, limits=Limits(body_bytes=KIB)) as running:
        request = running.signed("hook")
        pieces = [request.body[start : start + 7] for start in range(0, len(request.body), 7)]
        length = [(b"content-length", b"1024")]
        headers = [(name.encode(), value.encode()) for name, value in request.headers]
        told = await running.send(request, body=[*pieces, b""], headers=[*headers, *length])
        assert told.status == 200
        assert (await running.receipts())[0].body == request.body
        assert (await running.post("hook", headers=length, body=[b"x" * 1000, b"x" * 24])).status == 401


async def test_a_slow_body_is_not_waited_for(tmp_path: Path) -> None:
    async with relay(tmp_path, limits=Limits(body_seconds=0.01)) as running:
        told = await running.post("hook", body=[b"x", None])
        assert (told.status, told.code, told.headers["connection"]) == (408, "timeout", "close")
        assert told.json["error"]["message"] == "the body did not arrive within 0.01 s"


async def test_a_body_that_is_on_its_way_when_the_relay_stops_is_to_be_sent_again(started: Relay) -> None:
    with logged() as lines:
        request = asyncio.create_task(ask(started.app, path="/hooks/hook", body=[b"x", None]))
        await asyncio.sleep(0)
        request.cancel()  # as uvicorn does when its patience is over
        told = await request
    assert told is not None
    assert (told.status, told.code, told.headers["connection"]) == (503, "unavailable", "close")
    assert told.headers["retry-after"] == "10"
    assert [(line["verdict"], line["status"]) for line in lines] == [("stopped", 503)]


async def test_a_sender_that_goes_away_is_not_answered(started: Relay) -> None:
    with logged() as lines:
        told = await ask(started.app, path="/hooks/hook", body=[b"x", b""], ending="http.disconnect")
    assert told is None
    assert [(line["verdict"], line["status"]) for line in lines] == [("disconnected", None)]
    await started.kept()
    assert await started.receipts() == []


@pytest.mark.parametrize("whole", [False, True])
async def test_over_the_quota(tmp_path: Path, whole: bool) -> None:
    secrets = SOURCES["hook"].secrets
    sources = {
        "hook": Source(provider="standard-webhooks", secrets=secrets, quota="2/minute"),
        "other": Source(provider="standard-webhooks", secrets=secrets),
    }
    async with relay(tmp_path, sources=sources, whole=whole) as running:
        told = [await running.post("hook", body=[b"forged"]) for _ in range(2)]
        assert [one.status for one in told] == [401, 401]
        request = running.signed("hook")
        with logged() as lines:
            limited = await running.send(request, body=[b"x" if whole else None])
        assert (limited.status, limited.code) == (429, "rate_limited")
        assert (limited.headers["retry-after"], limited.headers["connection"]) == ("30", "close")
        assert [(line["verdict"], line["status"], line["source"]) for line in lines] == [("rate_limited", 429, "hook")]
        assert (await running.post("other")).status == 200
        running.clock.advance(30)
        assert (await running.send(request)).status == 200


# -- paths


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/hooks/nobody", 404),
        ("POST", "/hooks/nobody/key", 404),
        ("POST", "/hooks/hook%00", 404),
        ("POST", "/hooks/hook%0A", 404),
        ("POST", "/hooks/HOOK", 404),
        ("POST", "/hooks/h%C3%B6%ff", 404),
        ("POST", "/hooks/", 404),
        ("POST", "/hooks", 404),
        ("POST", "/hooks/hook/", 404),
        ("POST", "/hooks/hook/a/b", 404),
        ("POST", "/hooks/../livez", 404),
        ("POST", "/hooks/%2e%2e", 404),
        ("POST", "/hooks/%2e%2e/livez", 404),
        ("POST", "//hooks/hook", 404),
        ("POST", "/", 404),
        ("GET", "/hooks/nobody", 404),
        ("GET", "/hooks/hook", 405),
        ("HEAD", "/hooks/hook", 405),
        ("OPTIONS", "/hooks/hook", 405),
        ("PUT", "/hooks/hook/key", 405),
        ("BREW", "/hooks/hook", 405),
        ("post", "/hooks/hook", 405),
    ],
)
async def test_odd_paths_and_methods(started: Relay, method: str, path: str, status: int) -> None:
    told = await ask(started.app, method=method, path=path, body=[None])
    assert told is not None
    assert (told.status, told.code) == (status, {404: "not_found", 405: "method_not_allowed"}[status])
    assert told.headers.get("allow") == ("POST" if status == 405 else None)
    assert told.headers["connection"] == "close", "the body has not been read"


@pytest.mark.parametrize("path", ["/hooks/cms?a=%20%C3%B6&b", "/hooks/c%6Ds", "/hooks/cms?a=b?c"])
async def test_the_path_is_signed_as_it_was_sent(started: Relay, path: str) -> None:
    told = await started.send(started.signed("cms", path=path))
    assert told.status == 200
    assert (await started.only(ReceiptStatus.ACCEPTED)).path == path


@pytest.mark.parametrize(
    ("public_url", "signed", "received"),
    [
        ("https://hooks.example.com", "/hooks/cms", "/hooks/cms"),
        ("https://hooks.example.com/", "/hooks/cms", "/hooks/cms"),
        ("https://example.com/relay", "/relay/hooks/cms?a", "/relay/hooks/cms?a"),
        ("https://example.com/relay/", "/relay/hooks/cms?a", "/hooks/cms?a"),
        ("https://example.com/a%20b", "/a%20b/hooks/cms", "/a%20b/hooks/cms"),
        ("https://example.com/a%20b", "/a%20b/hooks/cms", "/hooks/cms"),
        ("https://example.com/hooks", "/hooks/hooks/cms", "/hooks/hooks/cms"),
        ("https://example.com/hooks", "/hooks/hooks/cms", "/hooks/cms"),
    ],
)
async def test_the_public_path_is_signed_whether_or_not_a_proxy_takes_it_off(
    tmp_path: Path, public_url: str, signed: str, received: str
) -> None:
    async with relay(tmp_path, public_url=public_url) as running:
        told = await running.send(running.signed("cms", path=signed), path=received)
        assert told.status == 200
        assert (await running.only(ReceiptStatus.ACCEPTED)).path == signed


async def test_headers_reach_the_provider_lower_case_and_in_order(started: Relay) -> None:
    request = started.signed("hook")
    headers = [(name.upper().encode(), value.encode()) for name, value in request.headers]
    assert (await started.send(request, headers=headers)).status == 200


# -- the wide line


async def test_the_wide_line(started: Relay) -> None:
    request = started.signed("gate")
    with logged() as lines:
        told = await started.send(request)
    (line,) = lines
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "webhook.received",
        "log_level": "info",
        "request_id": told.headers["x-request-id"],
        "source": "gate",
        "provider": "standard-webhooks",
        "status": 200,
        "verdict": "accepted",
        "reason": None,
        "detail": None,
        "receipt": told.json["receipt"],
        "purges": 2,
        "bytes": len(request.body),
        "scheme": "capability",
    }


async def test_no_credential_reaches_the_log(started: Relay) -> None:
    with logged() as lines:
        await started.post("basic", headers=basic("a-wrong-password"))
        await started.post("gate", path="/hooks/gate/a-wrong-key")
        await started.post("basic")
        await started.post("gate")
    told = repr(lines)
    key = make_capability("gate", [GATE_SECRET])
    for secret in ("a-wrong-password", "a-wrong-key", base64.b64encode(b"cms:a-wrong-password").decode(), key):
        assert secret not in told
    assert Secret(GATE_SECRET).reveal() not in told
