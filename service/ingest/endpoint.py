"""`POST /hooks/{source}`: HTTP in, one answer out, and one wide log line, whatever the exit."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.domain.clock import Clock
from service.domain.ids import new_id
from service.domain.log import log
from service.domain.requests import RawRequest
from service.ingest.answers import RETRY_SECONDS, early_error, respond, retry_after
from service.ingest.body import BodyReader, Unread
from service.ingest.intake import Intake
from service.ingest.pipeline import Pipeline
from service.ingest.ports import Answer, Meter, Span, Tracer
from service.ingest.quota import Bucket
from service.providers.credentials import CAPABILITY_HEADER
from service.settings.model import Limits

HOOKS = "/hooks"

Headers = Iterable[tuple[bytes, bytes]]

R = TypeVar("R", bound=Response | None)


Whole = Callable[[Headers, bytes], Coroutine[Any, Any, Response]]
"""Answers a POST to one source whose headers and body have come; the names are in lower case."""


class Endpoint:
    """An ASGI application that a route hands `source`, and `key` where the path has one; `whole` is for a server that
    has all of a request in its hands.

    `prefix` is the public URL's path: a proxy may have taken it off, and a sender signs the path with it.
    """

    def __init__(
        self,
        *,
        pipelines: Mapping[str, Pipeline],
        intake: Intake,
        limits: Limits,
        prefix: str,
        clock: Clock,
        meter: Meter,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._pipelines = pipelines
        self._intake = intake
        self._limits = limits
        self._bodies = BodyReader(limits.body_bytes, limits.body_seconds)
        self._prefix = prefix
        self._clock = clock
        self._meter = meter
        self._quotas = {
            name: bucket
            for name, pipeline in pipelines.items()
            if (bucket := Bucket.of(pipeline.provider.source)) is not None
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pipeline = self._pipelines.get(scope["path_params"]["source"])
        if pipeline is None:
            response: Response | None = early_error(404, "not_found", "there is no such source")
        elif scope["method"] != "POST" and scope["method"] not in pipeline.provider.info.handshake_methods:
            response = early_error(405, "method_not_allowed", "webhooks are sent with POST", {"allow": "POST"})
        else:
            response = await self._answered(pipeline, scope, receive)
        if response is not None:
            await response(scope, receive, send)

    def whole(self, source: str, path: str) -> Whole:
        """What answers to a source's plain path, as the request line has it: no key, no query."""
        return partial(self._taken, self._pipelines[source], self._as_signed(path))

    async def _taken(self, pipeline: Pipeline, path: str, headers: Headers, body: bytes) -> Response:
        visit = self._begun(pipeline, "POST", headers)
        if (wait := self._wait(pipeline)) > 0:
            return self._ended(visit, _LIMITED, _limited(wait), None)
        if len(body) > self._limits.body_bytes:
            return self._ended(visit, _UNREAD[Unread.TOO_LARGE], self._too_large(), None)
        return await self._judged(visit, RawRequest("POST", path, _decoded(headers), body))

    async def _answered(self, pipeline: Pipeline, scope: Scope, receive: Receive) -> Response | None:
        """The response, None for a sender that has gone away."""
        visit = self._begun(pipeline, scope["method"], scope["headers"])
        if (wait := self._wait(pipeline)) > 0:
            return self._ended(visit, _LIMITED, _limited(wait), None)
        body = await self._bodies.read(receive, scope["headers"])
        if isinstance(body, Unread):
            return self._ended(visit, _UNREAD[body], self._unread(body), None)
        return await self._judged(visit, self._raw(scope, body))

    def _begun(self, pipeline: Pipeline, method: str, headers: Headers) -> _Visit:
        span = None if self._tracer is None else self._tracer.webhook(pipeline.name, method, headers)
        return _Visit(pipeline, perf_counter(), new_id("req", self._clock()), span)

    def _wait(self, pipeline: Pipeline) -> float:
        """The seconds a sender over its quota has to wait; counted before the body, so that a flood is cheap."""
        bucket = self._quotas.get(pipeline.name)
        return 0.0 if bucket is None else bucket.take(self._clock())

    async def _judged(self, visit: _Visit, request: RawRequest) -> Response:
        try:
            answer = await self._intake.take(visit.pipeline, request, self._clock(), visit.span)
        except Exception:  # a bug of ours is no reason for the sender to give the webhook up
            log.exception("webhook.failed", request_id=visit.request_id, source=visit.pipeline.name)
            answer = Answer(status=503, verdict="failed", reason="unexpected")
        return self._ended(visit, answer, respond(answer), len(request.body))

    def _ended(self, visit: _Visit, answer: Answer, response: R, size: int | None) -> R:
        """The response, once all others have been told; `size` is how many bytes were read, None where not all were."""
        seconds = perf_counter() - visit.begun
        if visit.span is not None:
            visit.span.end(
                status=answer.status,
                verdict=answer.verdict,
                reason=answer.reason,
                receipt=answer.receipt,
                purges=answer.purges,
            )
        self._meter.webhook(visit.pipeline.name, answer.verdict, answer.reason, seconds)
        _tell(visit, answer, size, seconds)
        if response is not None:
            response.raw_headers.append((b"x-request-id", visit.request_id.encode()))
        return response

    def _raw(self, scope: Scope, body: bytes) -> RawRequest:
        """The request as its sender signed it."""
        headers = _decoded((name.lower(), value) for name, value in scope["headers"])
        if (key := scope["path_params"].get("key")) is not None:
            headers = (*headers, (CAPABILITY_HEADER, key))
        path = self._as_signed(scope["raw_path"].decode("latin-1"))
        query: bytes = scope["query_string"]
        return RawRequest(scope["method"], f"{path}?{query.decode('latin-1')}" if query else path, headers, body)

    def _as_signed(self, path: str) -> str:
        """The path as the sender sees it, percent-encoding kept."""
        return path if path.startswith(f"{self._prefix}{HOOKS}/") else self._prefix + path

    def _unread(self, why: Unread) -> Response | None:
        if why is Unread.TOO_LARGE:
            return self._too_large()
        if why is Unread.TOO_SLOW:
            return early_error(408, "timeout", f"the body did not arrive within {self._limits.body_seconds:g} s")
        if why is Unread.STOPPED:
            return early_error(503, "unavailable", "the relay is stopping; send it again", retry_after(RETRY_SECONDS))
        return None

    def _too_large(self) -> Response:
        return early_error(413, "too_large", f"the body is over {self._limits.body_bytes} bytes")


class _Visit(Struct, frozen=True):
    """A request while it is being answered; `begun` is when, by the clock of `perf_counter`."""

    pipeline: Pipeline
    begun: float
    request_id: str
    span: Span | None


def _decoded(headers: Headers) -> tuple[tuple[str, str], ...]:
    """In order. No sender may pass for us, who put the key of the URL among them under a name with a colon."""
    return tuple(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if not name.startswith(b":")]
    )


def _limited(wait: float) -> Response:
    return early_error(429, "rate_limited", "too many webhooks; send later", retry_after(wait))


_LIMITED = Answer(status=429, verdict="rate_limited")
_UNREAD = {
    Unread.TOO_LARGE: Answer(status=413, verdict="too_large"),
    Unread.TOO_SLOW: Answer(status=408, verdict="timeout"),
    Unread.GONE: Answer(status=0, verdict="disconnected"),
    Unread.STOPPED: Answer(status=503, verdict="stopped"),
}


def _tell(visit: _Visit, answer: Answer, size: int | None, seconds: float) -> None:
    """The wide line: no header, no path, no body."""
    write = log.warning if answer.status >= 500 else log.info
    write(
        "webhook.received",
        request_id=visit.request_id,
        source=visit.pipeline.name,
        provider=visit.pipeline.provider.info.name,
        status=answer.status or None,
        verdict=answer.verdict,
        reason=answer.reason,
        detail=answer.detail,
        receipt=answer.receipt,
        purges=answer.purges,
        bytes=size,
        duration_ms=round(seconds * 1000, 1),
        scheme=answer.scheme,
    )
