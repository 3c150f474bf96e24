"""`POST /hooks/{source}`: HTTP in, one answer out, and one wide log line, whatever the exit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any

from msgspec import Struct
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.domain.clock import Clock
from service.domain.ids import new_id
from service.domain.log import log
from service.domain.requests import RawRequest
from service.ingest.answers import RETRY_SECONDS, early_error, error, respond, retry_after
from service.ingest.body import BodyReader, Unread
from service.ingest.intake import Genuine, Intake, Webhook
from service.ingest.pipeline import Pipeline
from service.ingest.ports import Answer, Meter, Span, Tracer
from service.ingest.quota import Bucket
from service.providers.credentials import CAPABILITY_HEADER
from service.settings.model import Limits

HOOKS = "/hooks"

Headers = Iterable[tuple[bytes, bytes]]

Reply = Callable[[Response], None]
"""Answers a request; whatever is said after the first answer is dropped."""

Whole = Callable[[Headers, bytes, Reply], None]
"""Answers a POST to one source whose headers and body have come; the names are in lower case."""


_TOGETHER = 64  # that take each step together: what more of them hold does not stay in the processor's caches
_UNTOLD = 256  # answers that are neither counted nor logged yet, and all that they came of
_UNTOLD_SECONDS = (
    1.0  # that they wait at most: one that takes long, as when a key is fetched, is under way all the while
)


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
        self._arrivals: list[_Arrival] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._untold: list[_Turn] = []
        self._last_call: asyncio.TimerHandle | None = None  # for what is untold
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
        return partial(self._arrived, self._pipelines[source], self._as_signed(path))

    def _arrived(self, pipeline: Pipeline, path: str, headers: Headers, body: bytes, reply: Reply) -> None:
        """To be judged with what comes in the same turn of the loop."""
        if not self._arrivals or len(self._arrivals) == _TOGETHER:
            self._arrivals = []
            self._begin(self._judge(self._arrivals), self._arrivals)
        self._arrivals.append(_Arrival(pipeline, path, headers, body, reply, perf_counter()))

    def _begin(self, work: Coroutine[Any, Any, None], arrivals: Sequence[_Arrival]) -> None:
        task = asyncio.get_running_loop().create_task(_guarded(work, arrivals))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._untold and not self._tasks:  # and unless more has come when the loop has looked
            asyncio.get_running_loop().call_soon(self._tell_if_idle)

    def _tell_if_idle(self) -> None:
        if not self._tasks:
            self.tell()

    def _tell_at_last(self) -> None:
        self._last_call = None
        self.tell()

    async def _judge(self, arrivals: Sequence[_Arrival]) -> None:
        if self._arrivals is arrivals:
            self._arrivals = []  # what comes from now on is not among these any more
        now = self._clock()
        visits = [self._visit(one.pipeline, one.begun, "POST", one.headers, now) for one in arrivals]
        asked: list[tuple[_Arrival, _Visit, Webhook]] = []
        for one, visit in zip(arrivals, visits, strict=True):
            if (wait := self._wait(one.pipeline, now)) > 0:
                one.reply(self._ended(visit, _LIMITED, None, _limited(wait)))
            elif len(one.body) > self._limits.body_bytes:
                one.reply(self._ended(visit, _UNREAD[Unread.TOO_LARGE], None, self._too_large()))
            else:
                request = RawRequest("POST", one.path, _decoded(one.headers), one.body)
                asked.append((one, visit, visit.webhook(request, now)))
        ready: list[tuple[_Arrival, _Visit, Genuine]] = []
        judged = self._intake.judge([webhook for _, _, webhook in asked])
        for (one, visit, webhook), outcome in zip(asked, judged, strict=True):
            if isinstance(outcome, Genuine):
                ready.append((one, visit, outcome))
            elif isinstance(outcome, Answer):
                one.reply(self._ended(visit, outcome, len(one.body), respond(outcome)))
            else:
                self._begin(self._alone(one, visit, webhook), [one])
        if ready:
            await self._store(ready)

    async def _alone(self, arrival: _Arrival, visit: _Visit, webhook: Webhook) -> None:
        arrival.reply(await self._taken(visit, webhook))

    async def _store(self, ready: Sequence[tuple[_Arrival, _Visit, Genuine]]) -> None:
        answers = await self._intake.store([genuine for _, _, genuine in ready])
        responses = [_named(respond(answer), visit) for answer, (_, visit, _) in zip(answers, ready, strict=True)]
        for (arrival, _, _), response in zip(ready, responses, strict=True):
            arrival.reply(response)
        self._untold.append(_Turn(ready, answers, perf_counter()))
        if sum([len(turn.ready) for turn in self._untold]) > _UNTOLD:
            self.tell()
        elif self._last_call is None:
            self._last_call = asyncio.get_running_loop().call_later(_UNTOLD_SECONDS, self._tell_at_last)

    def tell(self) -> None:
        """Count and log the answers that this has not been done for, and let go of all that they came of: no sender has
        to wait for it, neither who was answered nor who has sent meanwhile. Done by itself once nothing is under way.
        """
        untold, self._untold = self._untold, []
        for turn in untold:
            for (arrival, visit, _), answer in zip(turn.ready, turn.answers, strict=True):
                try:
                    self._tell(visit, answer, len(arrival.body), turn.ended - visit.begun)
                except Exception:
                    log.exception("webhook.untold", request_id=visit.request_id, source=visit.pipeline.name)

    async def _answered(self, pipeline: Pipeline, scope: Scope, receive: Receive) -> Response | None:
        """The response, None for a sender that has gone away."""
        now = self._clock()
        visit = self._visit(pipeline, perf_counter(), scope["method"], scope["headers"], now)
        if (wait := self._wait(pipeline, now)) > 0:
            return self._ended(visit, _LIMITED, None, _limited(wait))
        body = await self._bodies.read(receive, scope["headers"])
        if not isinstance(body, Unread):
            return await self._taken(visit, visit.webhook(self._raw(scope, body), self._clock()))
        if body is Unread.GONE:
            self._tell(visit, _UNREAD[body], None, perf_counter() - visit.begun)
            return None
        return self._ended(visit, _UNREAD[body], None, self._unread(body))

    async def _taken(self, visit: _Visit, webhook: Webhook) -> Response:
        answer = await self._intake.take(webhook)
        return self._ended(visit, answer, len(webhook.request.body), respond(answer))

    def _visit(self, pipeline: Pipeline, begun: float, method: str, headers: Headers, now: datetime) -> _Visit:
        span = None if self._tracer is None else self._tracer.webhook(pipeline.name, method, headers)
        return _Visit(pipeline, begun, new_id("req", now), span)

    def _wait(self, pipeline: Pipeline, now: datetime) -> float:
        """The seconds a sender over its quota has to wait; counted before the body, so that a flood is cheap."""
        bucket = self._quotas.get(pipeline.name)
        return 0.0 if bucket is None else bucket.take(now)

    def _ended(self, visit: _Visit, answer: Answer, size: int | None, response: Response) -> Response:
        """The response, once all others have been told; `size` is how many bytes were read, None where not all were."""
        self._tell(visit, answer, size, perf_counter() - visit.begun)
        return _named(response, visit)

    def _tell(self, visit: _Visit, answer: Answer, size: int | None, seconds: float) -> None:
        if visit.span is not None:
            visit.span.end(
                status=answer.status,
                verdict=answer.verdict,
                reason=answer.reason,
                receipt=answer.receipt,
                purges=answer.purges,
            )
        self._meter.webhook(visit.pipeline.name, answer.verdict, answer.reason, seconds)
        _log(visit, answer, size, seconds)

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

    def _unread(self, why: Unread) -> Response:
        if why is Unread.TOO_LARGE:
            return self._too_large()
        if why is Unread.TOO_SLOW:
            return early_error(408, "timeout", f"the body did not arrive within {self._limits.body_seconds:g} s")
        return early_error(503, "unavailable", "the relay is stopping; send it again", retry_after(RETRY_SECONDS))

    def _too_large(self) -> Response:
        return early_error(413, "too_large", f"the body is over {self._limits.body_bytes} bytes")


class _Arrival(Struct, frozen=True):
    """A POST that has come whole; `begun` is when, by the clock of `perf_counter`."""

    pipeline: Pipeline
    path: str
    headers: Headers
    body: bytes
    reply: Reply
    begun: float


class _Visit(Struct, frozen=True):
    """A request while it is being answered; `begun` is when that was, by the clock of `perf_counter`."""

    pipeline: Pipeline
    begun: float
    request_id: str
    span: Span | None

    def webhook(self, request: RawRequest, now: datetime) -> Webhook:
        """What the intake takes."""
        return Webhook(self.pipeline, request, now, self.request_id, self.span)


class _Turn(Struct, frozen=True):
    """Webhooks that were answered together; `ended` is when, by the clock of `perf_counter`."""

    ready: Sequence[tuple[_Arrival, _Visit, Genuine]]
    answers: Sequence[Answer]
    ended: float


async def _guarded(work: Coroutine[Any, Any, None], arrivals: Sequence[_Arrival]) -> None:
    """No sender waits for an answer that a bug of ours has prevented."""
    try:
        await work
    except Exception:
        log.exception("webhook.unanswered")
        for arrival in arrivals:
            arrival.reply(error(500, "internal", "something went wrong here"))


def _decoded(headers: Headers) -> tuple[tuple[str, str], ...]:
    """In order. No sender may pass for us, who put the key of the URL among them under a name with a colon."""
    return tuple(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers if not name.startswith(b":")]
    )


def _named(response: Response, visit: _Visit) -> Response:
    """With the request's name in the log."""
    response.raw_headers.append((b"x-request-id", visit.request_id.encode()))
    return response


def _limited(wait: float) -> Response:
    return early_error(429, "rate_limited", "too many webhooks; send later", retry_after(wait))


_LIMITED = Answer(status=429, verdict="rate_limited")
_UNREAD = {
    Unread.TOO_LARGE: Answer(status=413, verdict="too_large"),
    Unread.TOO_SLOW: Answer(status=408, verdict="timeout"),
    Unread.GONE: Answer(status=0, verdict="disconnected"),
    Unread.STOPPED: Answer(status=503, verdict="stopped"),
}


def _log(visit: _Visit, answer: Answer, size: int | None, seconds: float) -> None:
    """The wide line: no header, no path, no body."""
    fields = {
        "request_id": visit.request_id,
        "source": visit.pipeline.name,
        "provider": visit.pipeline.provider.info.name,
        "status": answer.status or None,
        "verdict": answer.verdict,
        "reason": answer.reason,
        "detail": answer.detail,
        "receipt": answer.receipt,
        "purges": answer.purges,
        "bytes": size,
        "duration_ms": int(seconds * 10_000 + 0.5) / 10,  # a fifth of what `round` takes
        "scheme": answer.scheme,
    }
    # Straight to the sink: as keywords, the fields would be put into a dict once more.
    log.sink("warning" if answer.status >= 500 else "info", "webhook.received", fields)
