"""The application on a real SQLite inbox, with everything beyond it in reach of the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from starlette.responses import Response
from starlette.types import ASGIApp, Message

from service.app import Application, Deps, create_app
from service.domain.errors import KeyUnavailable, Refused, StoreUnavailable, Unreadable
from service.domain.events import AssetEvent, AssetKind, Confirmation, Notification
from service.domain.purges import ReceiptStatus
from service.domain.receipts import NewReceipt, Receipt
from service.domain.requests import Authentic, RawRequest, Verified
from service.domain.secret import Secret
from service.ingest.endpoint import Whole
from service.ingest.keeper import Keeper
from service.ingest.pipeline import Pipeline, build_pipelines
from service.ingest.ports import Inbox, Planner
from service.observability.health import Health
from service.observability.metrics import exposition
from service.observability.tally import Tally
from service.providers.base import Guide, Info, Provider, Sample
from service.settings.model import Auth, Limits, Project, Settings, Source
from service.store.inbox import Accepted
from service.store.inbox import Inbox as SqlInbox
from service.store.sqlite import SqliteEngine

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
CONTENTFUL_SECRET = "fake-secret-" + "0" * 52
HOOK_SECRET = "whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2U="
GATE_SECRET = "fake-capability-secret"

SOURCES: Mapping[str, Source] = {
    "cms": Source(provider="contentful", secrets=[Secret(CONTENTFUL_SECRET)]),
    "hook": Source(provider="standard-webhooks", secrets=[Secret(HOOK_SECRET)]),
    "gate": Source(provider="standard-webhooks", secrets=[Secret(GATE_SECRET)], auth=Auth(capability=True)),
    "basic": Source(provider="contentful", secrets=[Secret(GATE_SECRET)], auth=Auth(basic="cms")),
}
PROJECTS: Mapping[str, Project] = {"shop": Project(project="my-shop", token=Secret("fake-vercel-token"))}


class Clock:
    """Stands still until told to move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class FakeNetwork:
    """Keys by URL, and what a publisher has there by now; a confirmation works unless its URL is in `broken`."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.newer: dict[str, bytes] = {}
        self.refetched: list[str] = []
        self.broken: set[str] = set()
        self.confirmed: list[str] = []

    async def key(self, url: str, now: datetime) -> bytes:
        if url not in self.keys:
            raise KeyUnavailable("no such key")
        return self.keys[url]

    async def newer_key(self, url: str, now: datetime) -> bytes | None:
        self.refetched.append(url)
        if url in self.broken:
            raise KeyUnavailable("it answered 500")
        if url in self.newer:
            self.keys[url] = self.newer[url]
        return self.newer.get(url)

    async def confirm(self, url: str) -> None:
        if url in self.broken:
            raise KeyUnavailable("it answered 500")
        self.confirmed.append(url)


class Dispatcher:
    """Alive unless told otherwise."""

    def __init__(self) -> None:
        self.lives = True

    def alive(self) -> bool:
        return self.lives


class Keyed(Provider):
    """A sender whose key is published: the header `x-key-url` names it, `x-signature` holds its very bytes."""

    info: ClassVar[Info] = Info(
        name="keyed",
        title="Keyed",
        doc_url="https://keyed.example/docs",
        signs="nothing, really",
        tolerance=None,
        stored_headers=frozenset({"x-key-url", "x-signature"}),
        needs_secret=False,
        success_status=204,
        guide=Guide(setup=(), events="", covered="", retries="", urls=""),
    )

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        url = request.required("x-key-url")
        if not url.startswith("https://keys.example/"):
            raise Refused("key_host", "the key is not on keys.example")
        return (url,)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        if key is None or request.required("x-signature").encode() != key:
            raise Refused("signature_mismatch")
        return Authentic("keyed")

    def read(self, request: Verified) -> Notification:
        match request.body.split(b" "):
            case [b"confirm", url]:
                return Notification(payload=None, instead=Confirmation(url.decode(), "wants to be confirmed"))
            case [b"asset", name]:
                event = AssetEvent(kind=AssetKind.REPLACED, id=name.decode(), urls=(f"https://img/{name.decode()}",))
                return Notification(payload=None, events=(event,))
            case [b"bug"]:
                raise ZeroDivisionError("a bug of ours")
            case _:
                raise Unreadable("neither this nor that")

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        return Sample(sample.body, {"x-key-url": "https://keys.example/1", "x-signature": "fake-key"})

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"asset": Sample(b"asset a1", {"date": now.isoformat()})}


class BrokenInbox:
    """A store whose every write fails in the same way: of itself, or each webhook by itself."""

    def __init__(self, error: Exception | None = None, *, each: bool = False) -> None:
        self.error = error or StoreUnavailable("the disk is full")
        self.each = each

    async def accept(
        self, verified: Sequence[tuple[NewReceipt, Sequence[AssetEvent], Planner]]
    ) -> Sequence[Accepted | Exception]:
        if self.each:
            return [self.error] * len(verified)
        raise self.error

    async def replan(self, receipt: Receipt, new: NewReceipt, events: Sequence[AssetEvent], plan: Planner) -> Accepted:
        raise self.error

    async def keep(self, new: NewReceipt, newest: int) -> None:
        raise self.error


@dataclass(slots=True)
class Told:
    """An answer as the server would send it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error, whose shape this checks."""
        assert set(self.json) == {"error"}
        assert set(self.json["error"]) == {"code", "message"}
        assert self.headers["content-type"] == "application/json"
        return str(self.json["error"]["code"])


@dataclass(slots=True, kw_only=True)
class Relay:
    """An application under test and what surrounds it."""

    app: Application
    engine: SqliteEngine
    inbox: SqlInbox
    keeper: Keeper
    health: Health
    pipelines: dict[str, Pipeline]
    clock: Clock
    network: FakeNetwork
    dispatcher: Dispatcher
    woken: list[set[str]] = field(default_factory=list)
    looking_up: list[str] = field(default_factory=list)
    whole: bool = False

    async def post(self, source: str, event: str | None = None, **changes: Any) -> Told:
        """A really signed webhook of a source, with some of its parts changed."""
        return await self.send(self.signed(source, event), **changes)

    def signed(self, source: str, event: str | None = None, path: str | None = None) -> RawRequest:
        provider = self.pipelines[source].provider
        samples = type(provider).samples(self.clock.now)
        sample = samples[event or next(iter(samples))]
        return provider.sign(sample, path or f"/hooks/{source}", self.clock.now)

    async def send(self, request: RawRequest, **changes: Any) -> Told:
        """One request, by way of ASGI or, where the server would do so, as one that has come whole."""
        headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers]
        usual: dict[str, Any] = {
            "method": request.method,
            "path": request.path,
            "headers": headers,
            "body": [request.body],
        }
        asked = usual | changes
        answers = self.app.hooks.get(asked["path"].encode())
        comes_whole = set(asked) == set(usual) and None not in asked["body"] and asked["method"] == "POST"
        if self.whole and answers is not None and comes_whole:
            told_whole = await told_by(answers, asked["headers"], b"".join(asked["body"]))
            self.app.spare()  # what is counted and logged when there is time
            return told_whole
        told = await ask(self.app, **asked)
        assert told is not None
        return told

    async def kept(self) -> None:
        """Has the keeper store what it holds."""
        await self.keeper._keep(self.keeper._waiting())

    async def receipts(self, **named: Any) -> list[Receipt]:
        """What is stored, newest first, with bodies."""
        found = [await self.inbox.get(receipt.id) for receipt in await self.inbox.list(**named)]
        return [receipt for receipt in found if receipt is not None]

    async def only(self, status: ReceiptStatus) -> Receipt:
        """The one receipt there is."""
        (receipt,) = await self.receipts()
        assert receipt.status is status
        return receipt


@asynccontextmanager
async def relay(
    folder: Path,
    *,
    sources: Mapping[str, Source] | None = None,
    projects: Mapping[str, Project] | None = None,
    limits: Limits | None = None,
    public_url: str | None = None,
    inbox: Inbox | None = None,
    whole: bool = False,
) -> AsyncIterator[Relay]:
    """An application over a fresh database; `inbox` takes that database's place for what comes in.

    Besides the configured sources there is `keyed`, whose key is https://keys.example/1 and reads `fake-key`.
    """
    settings = Settings(
        public_url=public_url,
        projects=dict(projects or PROJECTS),
        sources=dict(SOURCES if sources is None else sources),
        limits=limits or Limits(),
    )
    pipelines = build_pipelines(settings, _no_table)
    pipelines["keyed"] = keyed_pipeline(pipelines)
    engine = await SqliteEngine.open(folder / "relay.db")
    clock, network, dispatcher = Clock(), FakeNetwork(), Dispatcher()
    network.keys["https://keys.example/1"] = b"fake-key"
    stored = SqlInbox(engine)
    keeper = Keeper(inbox or stored, 50, pause=0)
    health = Health(engine, dispatcher, clock=clock)
    woken: list[set[str]] = []
    looking_up: list[str] = []

    def wake(names: Collection[str]) -> None:
        woken.append(set(names))

    tally = Tally()

    async def metrics() -> bytes:
        return exposition(tally.counts, ())

    app = create_app(
        Deps(
            pipelines=pipelines,
            settings=settings,
            inbox=inbox or stored,
            keeper=keeper,
            network=network,
            clock=clock,
            wake=wake,
            wake_lookups=looking_up.append,
            health=health,
            meter=tally,
            metrics=metrics,
        )
    )
    try:
        yield Relay(
            app=app,
            engine=engine,
            inbox=stored,
            keeper=keeper,
            health=health,
            pipelines=pipelines,
            clock=clock,
            network=network,
            dispatcher=dispatcher,
            woken=woken,
            looking_up=looking_up,
            whole=whole,
        )
    finally:
        await engine.close()


def keyed_pipeline(pipelines: Mapping[str, Pipeline]) -> Pipeline:
    """The pipeline of the source `keyed`, with the rules of another."""
    provider = Keyed("keyed", Source(provider="keyed"))
    rules = next(iter(pipelines.values())).rules
    return Pipeline(name="keyed", provider=provider, rules=rules, events_per_request=100, urls_per_asset=8)


def _no_table(name: str) -> bytes:
    raise FileNotFoundError(name)


async def told_by(answers: Whole, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Told:
    """One request that has come whole."""
    response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    answers([(name.lower(), value) for name, value in headers], body, response.set_result)
    told = await response
    return Told(told.status_code, {name.decode(): value.decode() for name, value in told.raw_headers}, bytes(told.body))


async def ask(
    app: ASGIApp,
    *,
    path: str,
    method: str = "POST",
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: Iterable[bytes | None] = (b"",),
    ending: str = "http.request",
) -> Told | None:
    """One request in ASGI's own terms, as uvicorn makes them: `body` in pieces, then whatever `ending` names.

    A piece of None is one that never comes. None is given back where nothing was answered.
    """
    raw_path, _, query = path.partition("?")
    pieces = list(body)
    incoming: list[Message | None] = [
        None if piece is None else {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ]
    if ending != "http.request":
        incoming[-1:] = [{"type": ending}]
    sent: list[Message] = []

    async def receive() -> Message:
        message = incoming.pop(0)
        if message is None:
            await _never()
        assert message is not None
        return message

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
    await app(scope, receive, send)
    if not sent:
        return None
    start, *rest = sent
    named = {name.decode(): value.decode() for name, value in start["headers"]}
    return Told(start["status"], named, b"".join(message.get("body", b"") for message in rest))


async def _never() -> None:
    import asyncio

    await asyncio.get_running_loop().create_future()
