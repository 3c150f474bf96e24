"""Traces, as a collector receives them: from a webhook at one process to the call that another makes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from support.loopback import serve
from support.process import SECRET_BASE64, TOKEN, eventually, relay, write_config
from support.told import logged
from support.webhooks import replaced, signed

from service import __version__
from service.domain.batches import Batch
from service.domain.errors import StoreUnavailable
from service.domain.purges import Action
from service.observability import traces as traces_module
from service.observability.traces import Telemetry
from service.observability.tracing import asked_for, telemetry
from service.testing.fake_answers import parse_answers
from service.testing.fake_vercel import FakeVercel, create_fake_vercel

ROLES = """\
{name}:
  provider: standard-webhooks
  secrets: [whsec_{secret}]
  settle: {settle}
  projects: [shop]
  rules: [{{src_images: ["{{{{ url }}}}"]}}]
"""
SAMPLED, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Received(NamedTuple):
    """A span with what its resource says of who sent it."""

    span: Span
    resource: Mapping[str, str]

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    def says(self, name: str) -> str | int | None:
        for one in self.span.attributes:
            if one.key == name:
                text: str = one.value.string_value
                number: int = one.value.int_value
                return text or number
        return None


class Collector:
    """An OTLP receiver over HTTP, as its specification has it: protobuf in, an empty answer out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self.paths: set[str] = set()
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        message = ExportTraceServiceRequest.FromString(await request.body())
        with self._lock:
            self.paths.add(f"{request.url.path} {request.headers['content-type']}")
            for sender in message.resource_spans:
                resource = {one.key: one.value.string_value for one in sender.resource.attributes}
                self._received += [Received(span, resource) for scope in sender.scope_spans for span in scope.spans]
        return Response(b"", media_type="application/x-protobuf")

    def spans(self, name: str) -> list[Received]:
        with self._lock:
            return [one for one in self._received if one.span.name == name]


class Site(NamedTuple):
    http: httpx.Client
    collector: Collector
    fake: FakeVercel

    def send(self, source: str, number: int, image: str, *headers: tuple[str, str]) -> httpx.Response:
        body = replaced(f"asset-{image}", f"https://img.example.com/{image}.jpg")
        own = list(signed(f"msg_{source}_{number}", body).items())
        return self.http.post(f"/hooks/{source}", content=body, headers=[*own, *headers])

    def calls_about(self, receipt: str) -> list[Received]:
        """The calls in the trace of a receipt's webhook."""
        traces = {one.trace for one in self.spans_of(receipt)}
        return [one for one in self.collector.spans("vercel.purge") if one.trace in traces]

    def spans_of(self, receipt: str) -> list[Received]:
        found = self.collector.spans("POST /hooks/{source}")
        return [one for one in found if one.says("relay.receipt") == receipt]


@contextmanager
def running(folder: Path, environ: Mapping[str, str]) -> Iterator[Site]:
    """One process takes webhooks in, another sends: what the trace is known by has to go through the store."""
    collector, fake = Collector(), FakeVercel(tokens=[TOKEN], projects=["my-shop"])
    with serve(create_fake_vercel(fake)) as vercel, serve(collector.app) as endpoint:
        sources = "".join(
            ROLES.format(name=name, secret=SECRET_BASE64, settle=settle) for name, settle in (("hook", 0), ("slow", 1))
        )
        write_config(folder, vercel, sources=sources)
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100", **environ}
        with (
            relay(folder, "--role", "ingest", environ=told) as taking,
            relay(folder, "--role", "dispatch", environ=told) as sending,
            httpx.Client(base_url=taking.address, timeout=30) as http,
        ):
            yield Site(http, collector, fake)
            assert (taking.stop(), sending.stop()) == (0, 0)


def test_from_the_webhook_to_the_call(tmp_path: Path) -> None:
    with running(tmp_path, {}) as site:
        # One that continues its sender's trace.
        answer = site.send("hook", 1, "one", ("traceparent", f"00-{SAMPLED}-{CALLER}-01"))
        receipt = answer.json()["receipt"]
        eventually(lambda: bool(site.calls_about(receipt)))
        (webhook,), (call,) = site.spans_of(receipt), site.calls_about(receipt)
        (commit,) = [one for one in site.collector.spans("store.commit") if one.trace == SAMPLED]
        assert {webhook.trace, commit.trace, call.trace} == {SAMPLED}
        assert webhook.span.parent_span_id.hex() == CALLER
        assert commit.span.parent_span_id == call.span.parent_span_id == webhook.span.span_id
        assert (webhook.span.kind, call.span.kind) == (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT)
        assert [webhook.says(name) for name in ("relay.source", "relay.verdict", "http.response.status_code")] == [
            "hook",
            "accepted",
            200,
        ]
        assert [call.says(name) for name in ("relay.project", "relay.outcome", "relay.images")] == ["shop", "done", 1]
        assert call.span.start_time_unix_nano >= commit.span.start_time_unix_nano
        assert call.span.end_time_unix_nano > call.span.start_time_unix_nano
        assert webhook.resource["service.name"] == call.resource["service.name"] == "vercel-image-relay"
        assert webhook.resource["service.version"] == __version__
        assert site.collector.paths == {"/v1/traces application/x-protobuf"}

        # Two webhooks about one image are one call, linked with both.
        receipts = [site.send("slow", number, "two").json()["receipt"] for number in (1, 2)]
        eventually(lambda: bool(site.calls_about(receipts[0])))
        (first,), (second,) = site.spans_of(receipts[0]), site.spans_of(receipts[1])
        (call,) = site.calls_about(receipts[0])
        assert first.trace != second.trace
        assert {link.span_id for link in call.span.links} == {first.span.span_id, second.span.span_id}
        assert (call.span.parent_span_id, call.says("relay.events")) == (first.span.span_id, 2)

        # What its sender does not record is not recorded; two headers say nothing; a forged one has no purge.
        assert site.send("hook", 2, "three", ("traceparent", f"00-{'1' * 32}-{CALLER}-00")).status_code == 200
        twice = [("traceparent", f"00-{digit * 32}-{CALLER}-01") for digit in "23"]
        doubled = site.send("hook", 3, "four", *twice).json()["receipt"]
        assert site.http.post("/hooks/hook", content=b"{}").status_code == 401
        images = {f"https://img.example.com/{name}.jpg" for name in ("one", "two", "three", "four")}
        eventually(lambda: images <= {image for call in site.fake.calls for image in call["body"]["srcImages"]})
        eventually(lambda: bool(site.calls_about(doubled)))

        # What Vercel does not take is an error of that call, and of no other.
        site.fake.script(*parse_answers(b'[{"status": 400}]'))
        refused = site.send("hook", 4, "five").json()["receipt"]
        eventually(lambda: bool(site.calls_about(refused)))
        (failed,) = site.calls_about(refused)
        assert (failed.says("relay.outcome"), failed.says("http.response.status_code")) == ("invalid", 400)
        assert failed.span.status.code == Status.STATUS_CODE_ERROR
        assert call.span.status.code != Status.STATUS_CODE_ERROR
    # Ended: all that was waiting has been sent.
    received = site.collector.spans("POST /hooks/{source}")
    assert not {"1" * 32, "2" * 32, "3" * 32} & {one.trace for one in received}
    (forged,) = [one for one in received if one.says("http.response.status_code") == 401]
    assert forged.says("relay.verdict") == "refused"
    assert forged.span.status.code != Status.STATUS_CODE_ERROR, "a sender's mistake is none of ours"
    told = "".join(str(one.span) for name in ("vercel.purge", "POST /hooks/{source}") for one in _all(site, name))
    assert TOKEN not in told
    assert "img.example.com" not in told, "what is purged is in the receipts, where it has a retention"


def _all(site: Site, name: str) -> list[Received]:
    found = site.collector.spans(name)
    assert found
    return found


def test_off_is_nothing_imported() -> None:
    program = "import sys, service.cli, service.cli.serve; print([n for n in sys.modules if 'opentelemetry' in n])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


ENDPOINT = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "relay"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ENDPOINT}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_who_turns_it_on(environ: Mapping[str, str], wanted: bool) -> None:
    assert asked_for(environ) is wanted


async def nobody(_purges: Sequence[str]) -> Sequence[str]:
    return ()


def test_without_the_extra_it_is_off_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "service.observability.traces", None)
    with logged() as lines:
        assert telemetry(nobody, {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}) is None
    ((event, reason),) = [(line["event"], line["reason"]) for line in lines]
    assert event == "tracing.off"
    assert "pip install 'vercel-image-relay[otel]'" in reason


def test_a_protocol_that_is_not_spoken() -> None:
    with logged() as lines:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        assert telemetry(nobody, environ) is None
    assert "grpc" in lines[0]["reason"]


async def test_a_store_that_is_away_costs_the_trace_and_not_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_purges: Sequence[str]) -> Sequence[str]:
        raise StoreUnavailable("gone")

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces = Telemetry(provider, away)
    span = await traces.call(Batch("shop", Action.DELETE, 0, ()), "call_1")
    span.end("done", 200, "200 OK")
    (one,) = exporter.get_finished_spans()
    assert (one.name, one.parent, list(one.links)) == ("vercel.purge", None, [])
    await traces.close()


async def test_a_collector_that_is_away_keeps_nothing_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    class Stuck(SimpleSpanProcessor):
        def shutdown(self) -> None:
            ended.wait(5)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Stuck(InMemorySpanExporter()))
    monkeypatch.setattr(traces_module, "_FLUSH_SECONDS", 0.01)
    with logged() as lines:
        await Telemetry(provider, nobody).close()
    ended.set()
    assert [line["event"] for line in lines] == ["tracing.unsent"]
