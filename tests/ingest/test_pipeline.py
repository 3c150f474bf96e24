"""One source's way from a request to a receipt, as far as the endpoint's tests do not walk it."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.intake import NOW, PROJECTS, SOURCES

from service.domain import events
from service.domain.clock import to_ms
from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind, Confirmation, Ignored, Notification
from service.domain.memory import AssetMemory
from service.domain.purges import ReceiptStatus
from service.domain.requests import RawRequest, Verified
from service.ingest.pipeline import Pipeline, build_pipelines, table_reader
from service.providers.verification import restore
from service.settings.model import Rule, Settings, Source

REQUEST = RawRequest.of("POST", "/hooks/hook", {}, b"{}")
EVENT = AssetEvent(kind=AssetKind.REPLACED, id="a1", urls=("https://img.example/a.jpg",))


def pipeline(**more: object) -> Pipeline:
    source = Source(provider="standard-webhooks", secrets=SOURCES["hook"].secrets, **more)  # type: ignore[arg-type]  # a test's own choice of settings
    return build_pipelines(Settings(projects=dict(PROJECTS), sources={"hook": source}), _no_table)["hook"]


def _no_table(name: str) -> bytes:
    raise FileNotFoundError(name)


def verified(body: bytes = b"{}", signed_at: float | None = 0, **headers: str) -> Verified:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    moment = None if signed_at is None else NOW + timedelta(seconds=signed_at)
    return restore(source="hook", scheme="test", headers=named, body=body, received_at=NOW, signed_at=moment)


@pytest.mark.parametrize(
    ("instead", "told", "status", "reason"),
    [
        (Ignored("about an entry"), (), ReceiptStatus.IGNORED, "about an entry"),
        (Ignored("line\nfeed \ud800"), (), ReceiptStatus.IGNORED, "line\\nfeed \\ud800"),
        (events.TestPing("the test button"), (), ReceiptStatus.TEST, "the test button"),
        (Confirmation("https://x/", "a subscription"), (), ReceiptStatus.TEST, "a subscription"),
        (None, (), ReceiptStatus.IGNORED, "the body tells of no image"),
        (None, (EVENT,), ReceiptStatus.ACCEPTED, None),
    ],
)
def test_the_status_of_a_receipt(
    instead: Ignored | events.TestPing | Confirmation | None,
    told: tuple[AssetEvent, ...],
    status: ReceiptStatus,
    reason: str | None,
) -> None:
    notification = Notification(payload={}, events=told, instead=instead)
    receipt = pipeline().receipt(REQUEST, verified(), notification)
    assert (receipt.status, receipt.reason) == (status, reason)


SAME, OTHER = True, False


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ((verified(), "msg_1"), (verified(b"[]", 5), "msg_1"), SAME),
        ((verified(), "msg_1"), (verified(), "msg_2"), OTHER),
        ((verified(), None), (verified(), None), SAME),
        ((verified(), None), (verified(b"[]"), None), OTHER),
        ((verified(), None), (verified(signed_at=0.001), None), OTHER),
        ((verified(), None), (verified(signed_at=None), None), OTHER),
        ((verified(), None), (verified(), ""), OTHER),
        ((verified(), "lone \ud800"), (verified(), "lone \ud801"), OTHER),
    ],
)
def test_deliveries_of_one_event(
    first: tuple[Verified, str | None], second: tuple[Verified, str | None], verdict: bool
) -> None:
    one, two = (
        pipeline().receipt(REQUEST, request, Notification(payload={}, event_id=event_id)).dedupe
        for request, event_id in (first, second)
    )
    assert one is not None
    assert 16 <= len(one) <= 32
    assert (one == two) is verdict


@pytest.mark.parametrize(
    ("of", "beginning"),
    [
        ((verified(), "msg_2b3KDAbcDefGhiJkl"), b"msg_2b3KDAbcDefG"),
        ((verified(), "7"), b"7"),
        ((verified(signed_at=1.5), None), str(to_ms(NOW) + 1500).encode()),
        ((verified(signed_at=None), None), b""),
    ],
)
def test_what_comes_one_after_the_other_is_stored_side_by_side(
    of: tuple[Verified, str | None], beginning: bytes
) -> None:
    request, event_id = of
    dedupe = pipeline().receipt(REQUEST, request, Notification(payload={}, event_id=event_id)).dedupe
    assert dedupe is not None
    assert dedupe[:-16] == beginning


def test_what_an_event_is_known_again_by_is_made_as_what_is_stored_was() -> None:
    """Or a release would take every delivery of what the one before it has stored for a new event."""
    beginning = str(to_ms(NOW) + 1500).encode()
    made = [
        pipeline().receipt(REQUEST, verified(b"{}", 1.5), Notification(payload={}, event_id=event_id)).dedupe
        for event_id in ("msg_1", None)
    ]
    assert made == [
        b"msg_1" + sha256(b"hook\0id\0msg_1").digest()[:16],
        beginning + sha256(b"hook\0body\0" + beginning + b"\0{}").digest()[:16],
    ]


@pytest.mark.parametrize("encoding", ["gzip", "br", ""])
def test_a_compressed_body_is_not_unpacked(encoding: str) -> None:
    with pytest.raises(Unreadable, match="the body is compressed"):
        pipeline().read(verified(content_encoding=encoding))


def test_an_identity_encoding_is_none() -> None:
    body = b'{"type": "asset.deleted", "data": {"id": "a1"}}'
    assert pipeline().read(verified(body, content_encoding="identity")).events[0].id == "a1"


def test_tables_lie_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "urls.csv").write_bytes(b"id,url\na1,/a.jpg\n")
    rule = Rule(src_images=['{{ asset.id | lookup("urls.csv") }}'])
    source = Source(provider="standard-webhooks", secrets=SOURCES["hook"].secrets, rules=[rule])
    settings = Settings(projects=dict(PROJECTS), sources={"hook": source})
    built = build_pipelines(settings, table_reader(tmp_path))["hook"]
    notification = Notification(payload={}, events=(EVENT,))
    planned = built.planner(notification, verified())(EVENT, None)
    assert [purge.src_image for purge in planned.purges] == ["/a.jpg"]


def test_the_trace_says_of_a_late_event_that_it_is_one() -> None:
    planner = pipeline().planner(Notification(payload={}, events=(EVENT,)), verified())
    assert planner(EVENT, None).trace["event"]["late"] is None
    outcome = planner(replace(EVENT, sequence="1"), AssetMemory(sequence="2", gone=True))
    assert outcome.trace["event"]["late"] == "older than what is known: that it is gone"
    assert [purge.src_image for purge in outcome.purges] == list(EVENT.urls)
