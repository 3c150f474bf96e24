"""OpenTelemetry: one trace from a webhook to the call at Vercel it led to. Imported only where that is asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service import __version__
from service.domain.batches import Batch
from service.domain.errors import StoreUnavailable
from service.domain.log import log
from service.domain.purges import Purge

_FLUSH_SECONDS = 3.0  # that the end of the relay waits for the collector
_MAX_STATE = 512  # characters of tracestate that everybody has to pass on: https://www.w3.org/TR/trace-context/
_KEPT = {b"traceparent": "traceparent", b"tracestate": "tracestate"}

Parents = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
"""The `traceparent`s of the webhooks that asked for purges (by id), oldest first; may raise StoreUnavailable."""


class WebhookSpan:
    """One request to a source."""

    def __init__(self, telemetry: Telemetry, span: Span) -> None:
        self._telemetry = telemetry
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """What the store keeps, so that the call joins this trace; None where the trace is not recorded."""
        return self._telemetry.traceparent(self._span)

    @contextmanager
    def commit(self) -> Iterator[None]:
        """The time until what came of the webhook is on disk."""
        with self._telemetry.child("store.commit", self._span):
            yield

    def end(self, *, status: int, verdict: str, reason: str | None, receipt: str | None, purges: int) -> None:
        """The answer is known."""
        span = self._span
        span.set_attributes({"http.response.status_code": status, "relay.verdict": verdict, "relay.purges": purges})
        if receipt is not None:
            span.set_attribute("relay.receipt", receipt)
        if reason is not None:
            span.set_attribute("relay.reason", reason)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR, reason))
        span.end()


class CallSpan:
    """One call to Vercel."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, outcome: str, status: int | None, reason: str) -> None:
        """The answer is there, or there will be none."""
        self._span.set_attribute("relay.outcome", outcome)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if outcome != "done":
            self._span.set_status(Status(StatusCode.ERROR, reason))
        self._span.end()


class Telemetry:
    """The spans of one process, on their way to the collector in a thread of their own."""

    def __init__(self, provider: TracerProvider, parents: Parents) -> None:
        self._provider = provider
        self._parents = parents
        self._tracer = provider.get_tracer("vercel-image-relay", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def webhook(self, source: str, method: str, headers: Iterable[tuple[bytes, bytes]]) -> WebhookSpan:
        """A request has come; it continues the trace that its headers name."""
        span = self._tracer.start_span(
            f"{method} /hooks/{{source}}",
            self._continued(headers),
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": "/hooks/{source}", "relay.source": source},
        )
        return WebhookSpan(self, span)

    async def call(self, batch: Batch[Purge], call_id: str) -> CallSpan:
        """A call begins, in the trace of the oldest webhook that asked for it; it is linked with all of them."""
        spans = self._contexts(await self._asked_by([purge.id for purge in batch.purges]))
        span = self._tracer.start_span(
            "vercel.purge",
            spans[0] if spans else Context(),
            SpanKind.CLIENT,
            {
                "http.request.method": "POST",
                "relay.project": batch.project,
                "relay.action": str(batch.action),
                "relay.images": len(batch.purges),
                "relay.events": sum(purge.events for purge in batch.purges),
                "relay.call": call_id,
            },
            [Link(get_current_span(context).get_span_context()) for context in spans],
        )
        return CallSpan(span)

    @contextmanager
    def child(self, name: str, parent: Span) -> Iterator[None]:
        """A span within another; an error that ends it is its own."""
        with self._tracer.start_as_current_span(name, set_span_in_context(parent, Context())):
            yield

    def traceparent(self, span: Span) -> str | None:
        """A span as others are told of it, None where it is not recorded."""
        if not span.get_span_context().trace_flags.sampled:
            return None
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span, Context()))
        return carrier["traceparent"]

    async def close(self) -> None:
        """Send what is left, for a few seconds at most: a collector that is away keeps no process from ending."""
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def flush() -> None:
            self._provider.shutdown()
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=flush, name="relay-traces-flush", daemon=True).start()
        try:
            async with asyncio.timeout(_FLUSH_SECONDS):
                await done.wait()
        except TimeoutError:
            log.warning("tracing.unsent", reason="the collector took no spans before the relay ended")

    async def _asked_by(self, purges: Sequence[str]) -> Sequence[str]:
        try:
            return await self._parents(purges)
        except StoreUnavailable:  # then the call has a trace of its own
            return ()

    def _contexts(self, traceparents: Sequence[str]) -> list[Context]:
        """Each webhook's span once."""
        return [self._propagator.extract({"traceparent": one}, Context()) for one in dict.fromkeys(traceparents)]

    def _continued(self, headers: Iterable[tuple[bytes, bytes]]) -> Context:
        carrier: dict[str, str] = {}
        for name, value in headers:
            kept = _KEPT.get(name.lower())
            if kept in carrier:  # said twice, it says nothing
                return Context()
            if kept is not None and len(value) <= _MAX_STATE:
                carrier[kept] = value.decode("latin-1")
        return self._propagator.extract(carrier, Context())


def start(parents: Parents, environ: Mapping[str, str]) -> Telemetry:
    """Begin to send spans to where the environment says; its other settings are read by OpenTelemetry itself."""
    named = "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "") or environ.get("OTEL_SERVICE_NAME")
    own = {"service.version": __version__} | ({} if named else {"service.name": "vercel-image-relay"})
    # Not at exit: `close` has a time-out, and is called before.
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Telemetry(provider, parents)
