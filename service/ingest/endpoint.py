"""`POST /hooks/{source}`: HTTP in, one answer out, and one wide log line, whatever the exit."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

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


class Endpoint:
    """An ASGI application that a route hands `source`, and `key` where the path has one.

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

    def _wait(self, pipeline: Pipeline) -> float:
        """The seconds a sender over its quota has to wait; counted before the body, so that a flood is cheap."""
        bucket = self._quotas.get(pipeline.name)
        return 0.0 if bucket is None else bucket.take(self._clock())

    async def _answered(self, pipeline: Pipeline, scope: Scope, receive: Receive) -> Response | None:
        """The response, None for a sender that has gone away."""
        begun = perf_counter()
        request_id = new_id("req", self._clock())
        span = None
        if self._tracer is not None:
            span = self._tracer.webhook(pipeline.name, scope["method"], scope["headers"])
        answer, response, size = await self._outcome(pipeline, scope, receive, request_id, span)
        seconds = perf_counter() - begun
        if span is not None:
            span.end(
                status=answer.status,
                verdict=answer.verdict,
                reason=answer.reason,
                receipt=answer.receipt,
                purges=answer.purges,
            )
        self._meter.webhook(pipeline.name, answer.verdict, answer.reason, seconds)
        _tell(pipeline, request_id, answer, size, seconds)
        if response is not None:
            response.raw_headers.append((b"x-request-id", request_id.encode()))
        return response

    async def _outcome(
        self, pipeline: Pipeline, scope: Scope, receive: Receive, request_id: str, span: Span | None
    ) -> tuple[Answer, Response | None, int | None]:
        """What the log is told, what the sender is told, and how many bytes were read, None where not all were."""
        if wait := self._wait(pipeline):
            return _LIMITED, early_error(429, "rate_limited", "too many webhooks; send later", retry_after(wait)), None
        body = await self._bodies.read(receive, scope["headers"])
        if isinstance(body, Unread):
            return _UNREAD[body], self._unread(body), None
        answer = await self._judged(pipeline, scope, body, request_id, span)
        return answer, respond(answer), len(body)

    async def _judged(
        self, pipeline: Pipeline, scope: Scope, body: bytes, request_id: str, span: Span | None
    ) -> Answer:
        try:
            return await self._intake.take(pipeline, self._raw(scope, body), self._clock(), span)
        except Exception:  # a bug of ours is no reason for the sender to give the webhook up
            log.exception("webhook.failed", request_id=request_id, source=pipeline.name)
            return Answer(status=503, verdict="failed", reason="unexpected")

    def _raw(self, scope: Scope, body: bytes) -> RawRequest:
        """The request as its sender signed it: nothing decoded, headers in order."""
        headers = [
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
            if not name.startswith(b":")  # no sender may pass for us, who put the key of the URL there
        ]
        if (key := scope["path_params"].get("key")) is not None:
            headers.append((CAPABILITY_HEADER, key))
        return RawRequest(scope["method"], signed_path(scope, self._prefix), tuple(headers), body)

    def _unread(self, why: Unread) -> Response | None:
        if why is Unread.TOO_LARGE:
            return early_error(413, "too_large", f"the body is over {self._limits.body_bytes} bytes")
        if why is Unread.TOO_SLOW:
            return early_error(408, "timeout", f"the body did not arrive within {self._limits.body_seconds:g} s")
        if why is Unread.STOPPED:
            return early_error(503, "unavailable", "the relay is stopping; send it again", retry_after(RETRY_SECONDS))
        return None


_LIMITED = Answer(status=429, verdict="rate_limited")
_UNREAD = {
    Unread.TOO_LARGE: Answer(status=413, verdict="too_large"),
    Unread.TOO_SLOW: Answer(status=408, verdict="timeout"),
    Unread.GONE: Answer(status=0, verdict="disconnected"),
    Unread.STOPPED: Answer(status=503, verdict="stopped"),
}


def signed_path(scope: Scope, prefix: str) -> str:
    """Path and query as the sender sees them, percent-encoding kept."""
    path: str = scope["raw_path"].decode("latin-1")
    if not path.startswith(f"{prefix}{HOOKS}/"):
        path = prefix + path
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _tell(pipeline: Pipeline, request_id: str, answer: Answer, size: int | None, seconds: float) -> None:
    """The wide line: no header, no path, no body."""
    write = log.warning if answer.status >= 500 else log.info
    write(
        "webhook.received",
        request_id=request_id,
        source=pipeline.name,
        provider=pipeline.provider.info.name,
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
