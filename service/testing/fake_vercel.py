"""A Vercel to try against: as strict as the published API about what it is asked, and scriptable in what it answers.

API schema: https://openapi.vercel.sh · limits per call: https://vercel.com/docs/rest-api/edge-cache/invalidate-by-source-image
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import json
import socket
import struct
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from service.domain.clock import Clock, iso, system_clock
from service.domain.secret import Secret
from service.testing.fake_answers import Answer, Script, error, parse_answers

MAX_CALLS = 100_000
MAX_BODY_BYTES = 1024 * 1024
MAX_IMAGES = 8
MAX_DEADLINE = 31_536_000

_PREFIX = "/v1/edge-cache/"
_KEYS = {
    f"{_PREFIX}invalidate-by-src-images": {"srcImages"},
    f"{_PREFIX}dangerously-delete-by-src-images": {"srcImages", "revalidationDeadlineSeconds"},
}
_SEND = "fake_vercel.send"
# l_onoff 1, l_linger 0: the kernel answers the close with RST instead of FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class RejectedError(Exception):
    """A call that Vercel would not carry out, with the answer it gets."""

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.response = error(status, code, message, **extra)


class FakeVercel:
    """The state and the judgment of one fake.

    `tokens` and `projects` are what it knows, None for "any". `answers` are scripted from the start. `latency` is in
    seconds. Calls that are refused on their own account (method, token, project, body) never use up a scripted answer.
    """

    def __init__(
        self,
        *,
        tokens: Collection[str] | None = None,
        projects: Collection[str] | None = None,
        answers: Sequence[Answer] = (),
        latency: float = 0.0,
        max_src_image_bytes: int = 1013,
        now: Clock = system_clock,
    ) -> None:
        self._tokens = None if tokens is None else [Secret(token) for token in tokens]
        self._projects = None if projects is None else frozenset(projects)
        self._script = Script(answers)
        self._latency = latency
        self._max_src_image_bytes = max_src_image_bytes
        self._now = now
        self._serial = itertools.count(1)
        self._calls: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """What was asked, oldest first, the newest 100000; `status` is None while and where nothing was answered."""
        return list(self._calls)

    def clear_calls(self) -> None:
        """Forget what was asked."""
        self._calls.clear()

    def script(self, *answers: Answer) -> None:
        """Give these answers to the next calls that fit them."""
        self._script.add(answers)

    def clear_script(self) -> None:
        """Let everything succeed again."""
        self._script.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Vercel's own side: every path that is not one of the fake's controls."""
        request = Request(scope, receive)
        try:
            raw = await request.body()
        except ClientDisconnect:
            return
        call = self._record(request, raw)
        try:
            answer, response = self._judge(request, raw)
        except RejectedError as rejected:
            answer, response = None, rejected.response
        pause = self._latency + (answer.delay() if answer is not None else 0.0)
        if pause and await _hung_up(receive, pause):
            return
        if response is None:
            await _reset_connection(scope, receive)
            return
        call["status"] = response.status_code
        response.headers["x-vercel-id"] = f"fake1::{next(self._serial)}"
        await response(scope, receive, send)

    def _record(self, request: Request, raw: bytes) -> dict[str, Any]:
        token = _bearer(request)
        query = request.scope["query_string"].decode("latin-1")
        call = {
            "at": iso(self._now()),
            "method": request.method,
            # As it came over the wire, so that a slash in a name can be told from a separator.
            "path": request.scope["raw_path"].decode("latin-1"),
            "query": dict(parse_qsl(query, keep_blank_values=True)),
            "raw_query": query,
            "authorization_fingerprint": Secret(token).fingerprint() if token else None,
            "body": _json_or_none(raw),
            "raw_body": raw.decode("utf-8", "replace"),
            "status": None,
        }
        self._calls.append(call)
        return call

    def _judge(self, request: Request, raw: bytes) -> tuple[Answer | None, Response | None]:
        path = request.url.path
        keys = _KEYS.get(path)
        if keys is None:
            return None, self._read(request, path)
        if request.method != "POST":
            raise RejectedError(405, "method_unknown", "This endpoint only responds to POST")
        self._authenticate(request)
        project = self._project(request.query_params.get("projectIdOrName", ""))
        images = self._images(request, raw, keys)
        answer = self._script.take(project, images)
        return answer, Response() if answer is None else answer.response(self._now)

    def _authenticate(self, request: Request) -> None:
        token = _bearer(request)
        if not token:
            raise RejectedError(403, "forbidden", "Not authorized", missingToken=True)
        if self._tokens is None:
            return
        same = [hmac.compare_digest(token.encode(), known.encode()) for known in self._tokens]
        if not any(same):
            raise RejectedError(403, "forbidden", "Not authorized", invalidToken=True)

    def _project(self, project: str) -> str:
        if not project:
            raise RejectedError(400, "bad_request", "Invalid request: missing required property `projectIdOrName`.")
        if self._projects is not None and project not in self._projects:
            raise RejectedError(404, "not_found", f"Could not find the project: {project}")
        return project

    def _images(self, request: Request, raw: bytes, keys: set[str]) -> list[str]:
        """The source images of a purge, after everything its schema asks for."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RejectedError(400, "bad_request", "Invalid request: the content type should be application/json.")
        document = _json_or_none(raw)
        if not isinstance(document, dict):
            raise RejectedError(400, "bad_request", "Invalid request: the body should be a JSON object.")
        problem = _keys_problem(document, keys) or _deadline_problem(document)
        problem = problem or _images_problem(document["srcImages"], self._max_src_image_bytes)
        if problem:
            raise RejectedError(400, "bad_request", f"Invalid request: {problem}.")
        images: list[str] = document["srcImages"]
        return images

    def _read(self, request: Request, path: str) -> Response:
        """The three look-ups that Vercel's command line makes first, and that tell whether a token works."""
        kind, _, name = path.removeprefix("/v2/").removeprefix("/v9/").removeprefix("/").partition("/")
        known = path == "/v2/user" or (name and path == f"/teams/{name}") or (name and path == f"/v9/projects/{name}")
        if not known:
            raise RejectedError(404, "not_found", f"Could not find the endpoint: {path}")
        if request.method != "GET":
            raise RejectedError(405, "method_unknown", "This endpoint only responds to GET")
        self._authenticate(request)
        if kind == "user":
            user = {"id": "user_fake", "email": "fake@example.invalid", "username": "fake", "name": "Fake"}
            return JSONResponse({"user": user})
        if kind == "teams":
            return JSONResponse({"id": name, "slug": name, "name": name})
        account = request.query_params.get("teamId") or request.query_params.get("slug") or "user_fake"
        return JSONResponse({"id": self._project(name), "name": name, "accountId": account})


class _Fake(Starlette):
    """Keeps hold of the server's own `send`, by which alone the connection can be reached."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__({**scope, _SEND: send}, receive, send)


def create_fake_vercel(fake: FakeVercel | None = None) -> Starlette:
    """The fake as an application, with its controls at `/_answers` (POST, DELETE) and `/_calls` (GET, DELETE)."""
    vercel = fake or FakeVercel()

    async def answers(request: Request) -> Response:
        if request.method == "DELETE":
            vercel.clear_script()
            return Response(status_code=204)
        try:
            scripted = parse_answers(await request.body())
        except msgspec.DecodeError as exc:
            return error(400, "bad_request", str(exc))
        vercel.script(*scripted)
        return JSONResponse({"scripted": len(scripted)})

    async def calls(request: Request) -> Response:
        if request.method == "DELETE":
            vercel.clear_calls()
            return Response(status_code=204)
        # Escaped to ASCII, unlike a JSONResponse: a lone surrogate may be in what was asked.
        return Response(json.dumps({"calls": vercel.calls}), media_type="application/json")

    return _Fake(
        routes=[
            Route("/_answers", answers, methods=["POST", "DELETE"]),
            Route("/_calls", calls, methods=["GET", "DELETE"]),
            Mount("/", app=vercel),
        ],
        max_body_size=MAX_BODY_BYTES,
    )


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _json_or_none(raw: bytes) -> Any:
    try:
        document = json.loads(raw)
        # What cannot be shown again as JSON (NaN, an infinite 1e999) was none to begin with.
        json.dumps(document, allow_nan=False)
        return document
    except (ValueError, RecursionError):
        return None


def _keys_problem(document: dict[str, Any], keys: set[str]) -> str:
    unknown = sorted(document.keys() - keys)
    if unknown:
        return f"should NOT have additional property `{unknown[0]}`"
    return "" if "srcImages" in document else "missing required property `srcImages`"


def _deadline_problem(document: dict[str, Any]) -> str:
    deadline = document.get("revalidationDeadlineSeconds", 0)
    # 60.0 is an integer to JavaScript and to JSON Schema.
    whole = not isinstance(deadline, bool) and isinstance(deadline, (int, float)) and deadline == deadline // 1
    fits = whole and 0 <= deadline <= MAX_DEADLINE
    return "" if fits else f"`revalidationDeadlineSeconds` should be an integer from 0 to {MAX_DEADLINE}"


def _images_problem(images: object, max_bytes: int) -> str:
    if not isinstance(images, list) or not 1 <= len(images) <= MAX_IMAGES:
        return f"`srcImages` should be an array of 1 to {MAX_IMAGES} items"
    if not all(isinstance(image, str) for image in images):
        return "`srcImages` items should be strings"
    longest = max(len(image.encode("utf-8", "surrogatepass")) for image in images)
    return "" if longest <= max_bytes else f"`srcImages` items should NOT be longer than {max_bytes} bytes"


async def _hung_up(receive: Receive, seconds: float) -> bool:
    """Waits; true if the caller closed the connection before the time was over."""
    try:
        async with asyncio.timeout(seconds):
            await receive()  # the body is read, so this can only be a disconnect
    except TimeoutError:
        return False
    return True


async def _reset_connection(scope: Scope, receive: Receive) -> None:
    """Tears the TCP connection down; where no server with a transport is in play, raises as the caller's side would."""
    transport = getattr(getattr(scope[_SEND], "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the fake Vercel reset the connection")
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    # uvicorn learns of the loss in its next turn; to return before would be to have forgotten an answer.
    await receive()
