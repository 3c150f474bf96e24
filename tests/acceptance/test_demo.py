"""The demo: a real one ends well by itself, and no step that did not happen is passed over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from support.loopback import serve
from support.prepared import FRESH
from support.process import running

from service.cli import demo
from service.cli.configuration import load_settings
from service.domain.errors import CommandFailed

pytestmark = pytest.mark.e2e


def test_once(tmp_path: Path) -> None:
    with running("demo", "--once", cwd=tmp_path, program=FRESH) as process:
        assert process.wait(90) == 0, process.output
    for said in (
        "Contentful",
        "Cloudinary",
        "Sanity",
        "Standard Webhooks",
        "Amazon SNS",
        "the old URL went too",
        "401",
    ):
        assert said in process.output
    assert process.output.endswith("Every step happened.")
    assert list(tmp_path.iterdir()) == []


def test_it_stays_until_it_is_interrupted(tmp_path: Path) -> None:
    import signal

    from support.process import eventually

    with running("demo", cwd=tmp_path) as process:
        eventually(lambda: "Ctrl-C ends the demo" in process.output, 90)
        process.signal(signal.SIGINT)
        assert process.wait(30) == 0, process.output


@pytest.mark.parametrize(
    ("status", "document", "otherwise"),
    [
        (500, {}, "the relay answered 500"),
        (200, {"receipt": "rcp_0", "status": "ignored"}, "the receipt is ignored, not accepted"),
        (200, {"receipt": "rcp_0", "status": "accepted"}, "the store has no receipt rcp_0"),
    ],
)
def test_a_step_that_did_not_happen(tmp_path: Path, status: int, document: dict[str, str], otherwise: str) -> None:
    async def hook(request: Request) -> Response:
        return JSONResponse(document, status_code=status)

    handler: Callable[[Request], Awaitable[Response]] = hook
    app = Starlette(routes=[Route("/hooks/{source}", handler, methods=["POST"])])
    with serve(app) as relay:
        key = demo._write_config(tmp_path, relay)
        steps = demo._Demo(load_settings(tmp_path / "relay.yaml"), relay, relay, key)
        with pytest.raises(CommandFailed, match=otherwise):
            steps.run()


def test_a_process_that_does_not_start() -> None:
    with (
        pytest.raises(CommandFailed, match="`image-relay fake-vercel` did not start"),
        demo._process("fake-vercel", "--nope"),
    ):
        pass
