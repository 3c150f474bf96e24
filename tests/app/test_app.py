"""Routes beside the webhooks, and the one shape of an error."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import ASGIApp
from support.intake import BrokenInbox, Relay, ask, relay
from support.told import logged


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Relay]:
    async with relay(tmp_path) as running:
        yield running


async def got(running: Relay, path: str, method: str = "GET") -> tuple[int, Any]:
    told = await ask(running.app, method=method, path=path)
    assert told is not None
    assert told.headers["content-type"] == "application/json"
    return told.status, told.json


async def test_live_and_ready(started: Relay) -> None:
    assert await got(started, "/livez") == (200, {"status": "ok"})
    assert await got(started, "/readyz") == (200, {"status": "ok", "reasons": [], "warnings": []})


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_probes_take_head_and_nothing_else(started: Relay, path: str) -> None:
    assert (await got(started, path, "HEAD"))[0] == 200
    told = await ask(started.app, method="POST", path=path)
    assert told is not None
    assert (told.status, told.code) == (405, "method_not_allowed")
    assert set(told.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_not_ready_without_a_dispatcher(started: Relay) -> None:
    started.dispatcher.lives = False
    reasons = ["the dispatcher has stopped: purges are stored, but not sent"]
    assert await got(started, "/readyz") == (503, {"status": "unavailable", "reasons": reasons, "warnings": []})
    assert await got(started, "/livez") == (200, {"status": "ok"})


async def test_not_ready_while_the_store_cannot_commit(tmp_path: Path) -> None:
    inbox = BrokenInbox()
    async with relay(tmp_path, inbox=inbox) as running:
        await running.post("hook")
        assert (await got(running, "/readyz"))[0] == 503
        running.clock.advance(15)
        assert (await got(running, "/readyz"))[0] == 200, "without a webhook nothing would ever say that it works again"


@pytest.mark.parametrize("path", ["/", "/nothing", "/livez/", "/LIVEZ", "/docs", "/openapi.json", "/hooks"])
async def test_what_is_not_there(started: Relay, path: str) -> None:
    told = await ask(started.app, method="GET", path=path)
    assert told is not None
    assert (told.status, told.code) == (404, "not_found")


async def test_an_error_of_ours_tells_the_client_nothing(started: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    def alive() -> bool:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(started.dispatcher, "alive", alive)
    transport = httpx.ASGITransport(started.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://relay") as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 500
    assert answer.json() == {"error": {"code": "internal", "message": "something went wrong here"}}


async def test_on_a_real_server(started: Relay) -> None:
    """Signed as the vendor signs, through httpx and uvicorn; a connection outlives every body that was read."""
    request = started.signed("cms", path="/hooks/cms?a=%20%C3%B6")
    with logged() as lines:
        async with served(started.app) as url, httpx.AsyncClient(base_url=url) as http:
            answers = [
                await http.post(request.path, content=request.body, headers=list(request.headers)),
                await http.post("/hooks/hook", content=b"forged"),
                await http.post("/hooks/nobody", content=b"x" * 1000),
                await http.get("/livez"),
            ]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 200]
    assert [answer.headers.get("connection") for answer in answers] == [None, None, "close", None]
    assert [line["verdict"] for line in lines if line["event"] == "webhook.received"] == ["accepted", "refused"]


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """uvicorn on this very loop, to which the store is bound."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
