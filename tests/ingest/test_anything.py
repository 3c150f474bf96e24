"""No request whatever makes the endpoint do anything but answer with a status of the contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from support.intake import HOOK_SECRET, NOW, SOURCES, BrokenInbox, FakeNetwork, Told, ask

from service.domain.events import AssetEvent
from service.domain.receipts import NewReceipt
from service.ingest.endpoint import Endpoint
from service.ingest.intake import Intake
from service.ingest.keeper import Keeper
from service.ingest.pipeline import build_pipelines
from service.ingest.ports import Planner
from service.observability.tally import Tally
from service.providers.base import Sample
from service.settings.model import Limits, Project, Settings
from service.store.inbox import Accepted


class Planning(BrokenInbox):
    """Plans as the store does, and stores nothing."""

    async def accept(
        self, verified: Sequence[tuple[NewReceipt, Sequence[AssetEvent], Planner]]
    ) -> Sequence[Accepted | Exception]:
        found: list[Accepted | Exception] = []
        for new, events, plan in verified:
            planned = tuple(plan(event, None) for event in events)
            purges = sum(len(event.purges) for event in planned)
            found.append(Accepted(new.id, new.status, new.reason, purges, planned))
        return found

    async def keep(self, new: NewReceipt, newest: int) -> None:
        assert len(new.body) == new.body_bytes


class Watch:
    """Is told how the store does."""

    def store_works(self) -> None:
        self.works = True

    def store_failed(self, reason: str, now: datetime) -> None:
        raise AssertionError(reason)


PIPELINES = build_pipelines(
    Settings(projects={"shop": Project(project="my-shop")}, sources=dict(SOURCES)), lambda name: name.encode()
)


def endpoint() -> Endpoint:
    def wake(projects: Collection[str]) -> None:
        assert set(projects) == {"shop"}

    inbox = Planning()
    intake = Intake(
        inbox=inbox,
        keeper=Keeper(inbox, 5),
        network=FakeNetwork(),
        watch=Watch(),
        wake=wake,
        wake_lookups=lambda _: None,
    )
    return Endpoint(
        pipelines=PIPELINES, intake=intake, limits=Limits(), prefix="/relay", clock=lambda: NOW, meter=Tally()
    )


def answer(source: str, key: str | None, **request: Any) -> Told:
    one = endpoint()
    parameters = {"source": source} if key is None else {"source": source, "key": key}

    async def routed(scope: Any, receive: Any, send: Any) -> None:
        await one({**scope, "path_params": parameters}, receive, send)

    path = "/hooks/" + quote("/".join(parameters.values()))
    told = asyncio.run(ask(routed, path=path, **request))
    assert told is not None
    return told


tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
names = st.sampled_from(
    [
        *("webhook-id", "webhook-timestamp", "webhook-signature", "svix-id", "svix-signature", "authorization"),
        *("x-contentful-signature", "x-contentful-signed-headers", "x-contentful-timestamp", "x-contentful-topic"),
        *("content-encoding", "content-type", "content-length", ":capability"),
    ]
).map(str.encode) | tokens.map(str.encode)
values = st.binary(max_size=60) | st.sampled_from([b"", b"1764000000", b"v1,", b"Basic Og==", b"v1,v1a, ,;=", b"\xb2"])


@given(
    source=st.sampled_from([*SOURCES, "nobody"]),
    key=st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    headers=st.lists(st.tuples(names, values), max_size=12),
    body=st.lists(st.binary(max_size=200), min_size=1, max_size=4),
)
def test_nothing_forged_is_taken_in(
    source: str, key: str | None, headers: list[tuple[bytes, bytes]], body: list[bytes]
) -> None:
    told = answer(source, key, headers=headers, body=body)
    declared = [value for name, value in headers if name == b"content-length" and value.isdigit()]
    assert told.status in ({404} if source == "nobody" else {401, 413} if declared else {401})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12) | st.just("url"), inner, max_size=4)
    ),
    max_leaves=12,
)
names_of_data = st.sampled_from(["id", "url", "urls", "old_url", "etag", "environment", "locale", "version"])


@given(
    st.binary(max_size=300)
    | json_values.map(lambda value: repr(value).encode(errors="surrogatepass"))
    | st.fixed_dictionaries({"type": st.text(max_size=20), "data": st.dictionaries(names_of_data, json_values)}).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_whatever_a_genuine_sender_sends_is_read_or_kept(body: bytes) -> None:
    provider = PIPELINES["hook"].provider
    request = provider.sign(Sample(body), "/hooks/hook", NOW)
    assert HOOK_SECRET not in repr(request)
    headers = [(name.encode(), value.encode()) for name, value in request.headers]
    assert answer("hook", None, headers=headers, body=[body]).status in {200, 400}
