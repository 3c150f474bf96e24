"""Who called Vercel from when to when, as Vercel itself saw it: each process has a token of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Span:
    """One call; times are of the monotonic clock, in seconds."""

    process: str
    project: str
    begun: float
    ended: float


class Watched:
    """An application that notes each call's time in `spans` as it passes it on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.spans: list[Span] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.monotonic()
        token = dict(scope["headers"]).get(b"authorization", b"").decode().rpartition("-")[2]
        (project,) = parse_qs(scope["query_string"].decode())["projectIdOrName"]
        try:
            await self._app(scope, receive, send)
        finally:
            self.spans.append(Span(token, project, begun, time.monotonic()))

    def overlapping(self) -> list[tuple[Span, Span]]:
        """Calls for one project by two processes at one time."""
        spans = sorted(self.spans, key=lambda span: span.begun)
        return [
            (one, other)
            for at, one in enumerate(spans)
            for other in spans[at + 1 :]
            if one.project == other.project and one.process != other.process and other.begun < one.ended
        ]
