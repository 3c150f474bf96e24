"""GitHub: pushes become the images they touched; its style of signature takes any payload."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from support.senders import NOW, SECRETS, changed, make, problem, secrets, signed, verified

from service.domain import events
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify

SIGNATURE = "x-hub-signature-256"
RAW = "https://raw.githubusercontent.com/octo-org/site"


def outcome(provider: Provider, request: RawRequest) -> str:
    """The scheme that verified, or the reason for the refusal."""
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def read(payload: Any, headers: Mapping[str, str] | None = None, **settings: Any) -> Notification:
    return make("github", **settings).read(verified(json.dumps(payload).encode(), headers))


def push(*commits: Mapping[str, Any], ref: str = "refs/heads/main") -> dict[str, Any]:
    repository = {"full_name": "octo-org/site", "pushed_at": 1_795_521_600}
    return {"ref": ref, "repository": repository, "commits": list(commits)}


def files(*commits: Mapping[str, Any]) -> dict[str | None, str]:
    return {event.key: event.kind.value for event in read(push(*commits)).events}


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("sha256={good}", "github-sha256"),
        ("{good}", "signature_malformed"),
        ("sha1={good}", "signature_malformed"),
        ("SHA256={good}", "signature_malformed"),
        ("sha256= {good}", "signature_malformed"),
        ("sha256={upper}", "signature_malformed"),
        ("sha256={good}00", "signature_malformed"),
        ("sha256=", "signature_malformed"),
        ("sha256={zeros}", "signature_mismatch"),
        ("", "signature_missing"),
    ],
)
def test_one_spelling_of_the_signature(spelling: str, expected: str) -> None:
    provider = make("github")
    request = signed(provider)
    good = dict(request.headers)[SIGNATURE].removeprefix("sha256=")
    given = spelling.format(good=good, upper=good.upper(), zeros="0" * 64)
    assert outcome(provider, changed(request, {SIGNATURE: given})) == expected


def test_the_older_signature_alone_is_refused() -> None:
    provider = make("github")
    request = provider.sign(Sample(b"{}"), "/", NOW)
    headers = {"x-hub-signature": "sha1=" + "0" * 40}
    assert outcome(provider, RawRequest.of("POST", "/", headers, request.body)) == "signature_missing"


def test_every_secret_is_tried() -> None:
    request = signed(make("github"))
    assert outcome(make("github", secrets=secrets("fake-new", SECRETS["github"])), request) == "github-sha256"
    assert outcome(make("github", secrets=secrets("fake-new")), request) == "signature_mismatch"


@pytest.mark.parametrize(
    ("commits", "expected"),
    [
        ([{"added": ["a.png"]}], {"a.png": "created"}),
        ([{"modified": ["a.png"]}], {"a.png": "updated"}),
        ([{"removed": ["a.png"]}], {"a.png": "deleted"}),
        ([{"added": ["a.png"]}, {"modified": ["a.png"]}], {"a.png": "created"}),
        ([{"modified": ["a.png"]}, {"modified": ["a.png"]}], {"a.png": "updated"}),
        ([{"removed": ["a.png"]}, {"added": ["a.png"]}], {"a.png": "updated"}),
        ([{"removed": ["a.png"]}, {"modified": ["a.png"]}], {"a.png": "updated"}),
        ([{"added": ["a.png"]}, {"removed": ["a.png"]}], {"a.png": "deleted"}),
        ([{"added": ["b.png"], "removed": ["a.png"]}], {"b.png": "created", "a.png": "deleted"}),
        ([{"modified": ["A.JPG", "b.svg", "c.AVIF", "index.html", "png", "a.png.txt"]}], None),
        ([{"modified": ["a\n.png", 7, None, {}]}], {}),
        ([{"modified": "a.png"}, "b.png", None], {}),
        ([{"modified": ["Screenshot 9.41\u202fPM.png"]}], {"Screenshot 9.41\u202fPM.png": "updated"}),
    ],
)
def test_what_became_of_each_image(commits: Sequence[Any], expected: Mapping[str, str] | None) -> None:
    expected = {"A.JPG": "updated", "b.svg": "updated", "c.AVIF": "updated"} if expected is None else expected
    assert files(*commits) == expected


def test_an_image_in_full() -> None:
    (found,) = read(push({"modified": ["public/red hero.jpg"]}, ref="refs/heads/feature/x")).events
    assert found == AssetEvent(
        kind=found.kind,
        id="octo-org/site/public/red hero.jpg",
        urls=(f"{RAW}/feature/x/public/red%20hero.jpg", f"{RAW}/refs/heads/feature/x/public/red%20hero.jpg"),
        bucket="octo-org/site",
        key="public/red hero.jpg",
        filename="red hero.jpg",
        environment="feature/x",
        occurred_at=datetime(2026, 11, 24, 12, tzinfo=UTC),
    )


def test_a_repository_s_own_base() -> None:
    (found,) = read(push({"modified": ["a b.jpg"]}), bases={"octo-org/site": "https://example.com/files"}).events
    assert found.urls == ("https://example.com/files/a%20b.jpg",)
    (found,) = read(push({"modified": ["a.jpg"]}), bases={"other/site": "https://example.com/"}).events
    assert found.urls[0] == f"{RAW}/main/a.jpg"
    assert problem("github", bases={"octo-org/site": "no url"})[0] == "bases"


@pytest.mark.parametrize(
    ("payload", "instead"),
    [
        (push(), Ignored),
        (push({"modified": ["index.html"]}), Ignored),
        (push({"modified": ["a.png"]}, ref="refs/tags/v1"), Ignored),
        (push({"modified": ["a.png"]}) | {"ref": 7}, Ignored),
        ({"action": "deleted", "repository": {"full_name": "octo-org/site"}}, Ignored),
        ({"zen": "Keep it simple.", "hook_id": 30, "repository": {"full_name": "octo-org/site"}}, events.TestPing),
        ({"zen": "Keep it simple.", "hook_id": 30, "organization": {}}, events.TestPing),
    ],
)
def test_what_is_about_no_image(payload: Any, instead: type) -> None:
    found = read(payload)
    assert (found.events, type(found.instead)) == ((), instead)


@pytest.mark.parametrize(
    ("payload", "kind", "urls"),
    [
        ({"type": "asset.updated", "id": 1, "url": "https://x/1.jpg"}, "updated", ("https://x/1.jpg",)),
        ({"action": "deleted", "id": 1}, "deleted", ()),
        ({"zen": "no hook"}, "unknown", ()),
        ({"repository": {"full_name": 7}}, "unknown", ()),
        ({"repository": "octo-org/site"}, "unknown", ()),
        ([], "unknown", ()),
    ],
)
def test_payloads_of_others(payload: Any, kind: str, urls: tuple[str, ...]) -> None:
    (found,) = read(payload).events
    assert (found.kind.value, found.urls) == (kind, urls)


def test_a_form_holds_the_same_json() -> None:
    document = push({"modified": ["a&b+c.png"]})
    form = urlencode({"payload": json.dumps(document)}).encode()
    provider = make("github")
    request = provider.sign(Sample(form, {"content-type": "application/x-www-form-urlencoded"}), "/", NOW)
    found = provider.read(verify(provider, request, NOW))
    assert (found.payload, [event.key for event in found.events]) == (document, ["a&b+c.png"])


@pytest.mark.parametrize("body", [b"payload=", b"payload=%ff", b"payload=\xff", b"payload=1&x", b"payload=%7B"])
def test_a_form_that_holds_none(body: bytes) -> None:
    with pytest.raises(Unreadable):
        make("github").read(verified(body))


def test_a_redelivery_is_the_same_event_and_another_body_is_not() -> None:
    first = read(push(), {"x-github-delivery": "72d3162e"}).event_id
    assert first == read(push(), {"x-github-delivery": "72d3162e"}).event_id
    assert first != read(push({}), {"x-github-delivery": "72d3162e"}).event_id
    assert first != read(push(), {"x-github-delivery": "72d3162f"}).event_id


def test_without_an_id_a_time_in_the_body_tells_events_apart_or_each_delivery_counts() -> None:
    assert read({"id": 1, "timestamp": "2026-11-24T12:00:00Z"}).event_id is None
    assert (read({"id": 1}).event_id or "").startswith("2026-11-24T12:00:00.000Z ")
