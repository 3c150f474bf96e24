"""Adobe I/O Events: two published keys, the client an event is for, the handshake, and what it says of assets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from support.senders import (
    AUTHS,
    NAME,
    NOW,
    PATH,
    changed,
    ed25519_key,
    make,
    private_pem,
    problem,
    public_pem,
    rsa_key,
    secrets,
    signed,
    verified,
    without,
)
from support.vectors import agrees, cases, request_of, verdict

from service.domain import events
from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Source

CLIENT = "c5a34355b7f5491f8277b8dd63f0bfa3"
REPOSITORY = "author-p12345-e123456.adobeaemcloud.com"
SITE = "https://publish-p12345-e123456.adobeaemcloud.com/"
SIGNATURE = "x-adobe-digital-signature-1"
KEY_1, KEY_2 = "x-adobe-public-key1-path", "x-adobe-public-key2-path"
PATH_1, PATH_2 = "/prod/keys/pub-key-1.pem", "/prod/keys/pub-key-2.pem"
VALIDATION_URL = "https://csm.adobe.io/csm/registrations/validate?id=a-1&challenge=b-2"
VALIDATION = json.dumps({"validationUrl": VALIDATION_URL}).encode()


def published(**settings: Any) -> Provider:
    """A source that has Adobe's keys fetched."""
    return make("adobe-io-events", public_keys=[], **settings)


def reason(provider: Provider, request: RawRequest, key: str | None = None) -> str:
    try:
        provider.key_urls(request)
        verify(provider, request, NOW, None if key is None else key.encode())
    except Refused as error:
        return error.reason
    return ""


def event(action: str = "published", **fields: Any) -> dict[str, Any]:
    metadata = {"repo:name": "hero.jpg", "repo:path": "/content/dam/a b.jpg"}
    return {
        "type": f"aem.assets.asset.{action}",
        "source": REPOSITORY,
        "id": "e1",
        "time": "2026-11-24T11:00:00Z",
        "data": {"assetId": "urn:aaid:aem:1", "repositoryMetadata": metadata},
    } | fields


def notification(document: Any) -> Notification:
    return make("adobe-io-events").read(verified(json.dumps(document).encode()))


def of_vector(case: Mapping[str, Any], **settings: Any) -> Provider:
    client = json.loads(case["body"])["recipientclientid"]
    return build(NAME, Source(provider="adobe-io-events", project_id=client, **settings))


@pytest.mark.parametrize("case", cases("adobe-io-events"))
def test_vectors(case: Mapping[str, Any]) -> None:
    """Adobe's library refuses an event with the one field that its documentation names: here it is taken."""
    key = "\n".join(case["public_keys"].values()) if "public_keys" in case else case["secret"]
    pinned = verdict(of_vector(case, public_keys=secrets(key)), case, NOW)
    fetched = verdict(of_vector(case), case, NOW, key.encode())
    assert pinned == fetched
    assert agrees(pinned, case) is (case.get("id") != "adobe-io-events-docs-field-only"), pinned


def test_the_vectors_keys_are_where_adobe_publishes_them() -> None:
    case = cases("adobe-io-events")[0].values[0]
    urls = of_vector(case).key_urls(request_of(case))
    assert urls == tuple(f"https://static.adobeioevents.com{path}" for path in case["public_keys"])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({KEY_1: PATH_1}, 1),
        ({KEY_1: PATH_1, KEY_2: PATH_1}, 1),
        ({KEY_1: PATH_1, KEY_2: PATH_2}, 2),
        ({}, 0),
    ],
)
def test_each_key_is_asked_for_once(headers: dict[str, str], expected: int) -> None:
    request = changed(signed(make("adobe-io-events")), headers)
    assert len(published().key_urls(request)) == expected


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example.com/prod/keys/pub-key-1.pem",
        "@evil.example.com/prod/keys/pub-key-1.pem",
        ".evil.example.com/prod/keys/pub-key-1.pem",
        "/prod/keys/../pub-key-1.pem",
        "/prod/keys/pub-key-%2e%2e.pem",
        "/prod/keys/pub-key-1.pem?x",
        "/prod/keys/pub-key-1.pem\n",
        "/prod/keys/pub-key-\u0661.pem",
        "https://static.adobeioevents.com/prod/keys/pub-key-1.pem",
    ],
)
def test_a_key_is_fetched_from_nowhere_else(path: str) -> None:
    request = changed(signed(make("adobe-io-events")), {KEY_1: PATH_1, KEY_2: path})
    assert reason(published(), request, public_pem(rsa_key())) == "key_path_refused"


def test_who_does_not_know_the_client_id_causes_no_fetch() -> None:
    request = changed(signed(make("adobe-io-events")), {KEY_1: PATH_1})
    assert reason(published(project_id="another"), request) == "recipient_not_allowed"
    assert make("adobe-io-events").key_urls(request) == ()
    behind = make("adobe-io-events", auth=AUTHS["capability"], secrets=secrets("fake"))
    assert behind.key_urls(request) == ()


def test_a_key_that_cannot_be_used() -> None:
    request = changed(signed(make("adobe-io-events")), {KEY_1: PATH_1})
    assert reason(published(), request) == "key_missing"
    assert reason(published(), request, "<html>") == "key_unreadable"
    assert reason(published(), request, public_pem(rsa_key())) == ""


def test_the_second_signature_may_be_the_right_one() -> None:
    request = signed(make("adobe-io-events"))
    right = dict(request.headers)[SIGNATURE]
    second = changed(request, {SIGNATURE: "AAAA", "x-adobe-digital-signature-2": right})
    assert reason(make("adobe-io-events"), second) == ""
    assert reason(make("adobe-io-events"), without(request, SIGNATURE)) == "signature_missing"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([event(recipient_client_id=CLIENT), event(recipientclientid=CLIENT)], ""),
        ([], ""),
        ([event(recipient_client_id=CLIENT), event()], "recipient_not_allowed"),
        (event(recipient_client_id=CLIENT, recipientclientid="other"), "recipient_not_allowed"),
        (event(validationUrl="https://csm.adobe.io/"), "recipient_not_allowed"),
        (1, "recipient_not_allowed"),
    ],
)
def test_every_event_is_for_this_client(body: Any, expected: str) -> None:
    provider = make("adobe-io-events")
    request = provider.sign(Sample(json.dumps(body).encode()), PATH, NOW, private_pem(rsa_key()))
    assert reason(provider, request) == expected
    behind = make("adobe-io-events", auth=AUTHS["capability"], secrets=secrets("fake"))
    assert reason(behind, changed(signed(behind), body=request.body)) == expected


def test_without_a_client_id_the_credential_decides() -> None:
    behind = make("adobe-io-events", auth=AUTHS["capability"], secrets=secrets("fake"), project_id=None)
    assert reason(behind, changed(signed(behind), body=json.dumps(event()).encode())) == ""


def test_a_sample_is_for_the_source_s_client() -> None:
    provider = make("adobe-io-events", project_id="another-client")
    assert reason(provider, signed(provider)) == ""


def test_a_body_that_is_no_json_is_refused() -> None:
    provider = make("adobe-io-events")
    assert reason(provider, provider.sign(Sample(b"{"), PATH, NOW, private_pem(rsa_key()))) == "body_malformed"


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("challenge=a1-B_2", b"a1-B_2"),
        ("x=1&challenge=" + "a" * 200, b"a" * 200),
        ("challenge=" + "a" * 201, None),
        ("challenge=", None),
        ("challenge=a&challenge=a", None),
        ("challenge=<script>", None),
        ("challenge=%3Cb%3E", None),
        ("challenge=a%0A", None),
        ("other=a", None),
    ],
)
def test_the_challenge(query: str, answer: bytes | None) -> None:
    found = make("adobe-io-events").greeting(RawRequest.of("GET", f"{PATH}?{query}", {}, b""), NOW)
    assert (found.body if found is not None else None) == answer
    assert found is None or found.headers == {"content-type": "text/plain", "x-content-type-options": "nosniff"}


def test_who_has_a_credential_to_give_gives_it_with_the_challenge() -> None:
    behind = make("adobe-io-events", auth=AUTHS["capability"], secrets=secrets("fake"))
    request = RawRequest.of("GET", f"{PATH}?challenge=a", {}, b"")
    with pytest.raises(Refused):
        behind.greeting(request, NOW)
    credential = {name: value for name, value in signed(behind).headers if name.startswith(":")}
    assert behind.greeting(changed(request, credential), NOW) is not None
    assert behind.greeting(signed(behind), NOW) is None


def test_the_question_that_comes_by_post_is_left_to_the_operator() -> None:
    request = RawRequest.of("POST", PATH, {}, VALIDATION)
    greeting = make("adobe-io-events").greeting(request, NOW)
    assert greeting is not None
    assert (greeting.status, greeting.body) == (200, b"")
    assert greeting.reason.endswith(f"open {VALIDATION_URL}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"validationUrl",
        b'{"validationUrl": 1}',
        b'["validationUrl"]',
        b'{"validationUrl": "https://evil.example.com/csm/registrations/validate?id=1"}',
        b'{"validationUrl": "https://csm.adobe.io/csm/registrations/validate?id=<b>"}',
        VALIDATION.replace(b"}", b', "type": "x"}'),
        VALIDATION + b" " * 1024,
    ],
)
def test_what_is_not_that_question(body: bytes) -> None:
    assert make("adobe-io-events").greeting(RawRequest.of("POST", PATH, {}, body), NOW) is None


def test_behind_a_credential_the_question_is_kept() -> None:
    behind = make("adobe-io-events", auth=AUTHS["capability"], secrets=secrets("fake"))
    request = changed(signed(behind), body=VALIDATION)
    assert behind.greeting(request, NOW) is None
    found = behind.read(verify(behind, request, NOW))
    assert isinstance(found.instead, events.TestPing)
    assert "validationUrl" in found.instead.reason


def xdm(kind: str = "xdmUpdated", **fields: Any) -> dict[str, Any]:
    asset = {"xdmAsset:asset_name": "hero.jpg", "xdmAsset:path": "/content/dam/hero.jpg", "xdmAsset:etag": "6fc5"}
    return {
        "@id": "x1",
        "@type": kind,
        "xdmEventEnvelope:objectType": "xdmAsset",
        "activitystreams:published": "2026-11-24T13:00:00+02:00",
        "activitystreams:generator": {"xdmContentRepository:root": REPOSITORY},
        "activitystreams:object": {"xdmAsset:asset_id": "urn:aaid:aem:1", "xdmAsset:format": "image/jpeg"} | asset,
    } | fields


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("xdmCreated", AssetKind.CREATED),
        ("xdmUpdated", AssetKind.UPDATED),
        ("xdmDeleted", AssetKind.DELETED),
        ("xdmMoved", AssetKind.UNKNOWN),
    ],
)
def test_activity_streams(kind: str, expected: AssetKind) -> None:
    for document, given_id in ((xdm(kind), "x1"), ({"event_id": "e1", "event": xdm(kind)}, "e1")):
        found = notification(document)
        (one,) = found.events
        assert (one.kind, one.id, one.urls) == (expected, "urn:aaid:aem:1", (f"{SITE}content/dam/hero.jpg",))
        assert (one.filename, one.mime_type, one.content_hash) == ("hero.jpg", "image/jpeg", "6fc5")
        assert one.occurred_at
        assert one.occurred_at.astimezone(NOW.tzinfo).hour == 11
        assert found.event_id == given_id


def test_activity_streams_without_an_id() -> None:
    assert notification({"event": xdm()}).event_id == "x1"
    assert notification(xdm(**{"@id": "N/A"})).event_id is None


def test_activity_streams_about_something_else() -> None:
    found = notification(xdm(**{"xdmEventEnvelope:objectType": "xdmComponentizedPage"}))
    assert found.instead == Ignored("about an object of type xdmComponentizedPage, not a file")


@pytest.mark.parametrize(
    ("settings", "key", "why"),
    [
        ({"project_id": None}, "project_id", "client id"),
        ({"project_id": "a b"}, "project_id", "not a client id"),
        ({"secrets": secrets("fake")}, "secrets", "for `auth:` alone"),
        ({"public_keys": secrets("fake")}, "public_keys", "not an RSA public key"),
        ({"public_keys": secrets(public_pem(ed25519_key()))}, "public_keys", "Ed25519"),
    ],
)
def test_settings_that_do_not_suit(settings: dict[str, Any], key: str, why: str) -> None:
    found, message = problem("adobe-io-events", **settings)
    assert found == key
    assert why in message


def test_a_source_without_bases_is_warned_of() -> None:
    assert type(published()).warnings(Source(provider="adobe-io-events"))


def test_a_sample_takes_a_key() -> None:
    with pytest.raises(CommandFailed, match="--signing-key"):
        published().sign(Sample(b"{}"), PATH, NOW)


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("created", AssetKind.CREATED),
        ("updated", AssetKind.UPDATED),
        ("processing_completed", AssetKind.UPDATED),
        ("published", AssetKind.UPDATED),
        ("unpublished", AssetKind.UNPUBLISHED),
        ("deleted", AssetKind.DELETED),
        ("invented", AssetKind.UNKNOWN),
    ],
)
def test_events(action: str, kind: AssetKind) -> None:
    found = notification(event(action))
    (one,) = found.events
    assert (one.kind, one.id, one.urls) == (kind, "urn:aaid:aem:1", (f"{SITE}content/dam/a%20b.jpg",))
    assert (one.filename, one.bucket, one.key) == ("hero.jpg", REPOSITORY, "content/dam/a b.jpg")
    assert (one.occurred_at and one.occurred_at.hour, found.event_id) == (11, "e1")


def test_what_an_event_may_lack() -> None:
    metadata = {"repo:path": "/content/dam/hero.jpg", "dc:format": "image/jpeg"}
    (by_path,) = notification(event(data={"repositoryMetadata": metadata})).events
    assert (by_path.id, by_path.mime_type) == (f"{REPOSITORY}/content/dam/hero.jpg", "image/jpeg")
    (by_id,) = notification(event(data={"assetId": "a1"}, time=None)).events
    assert by_id == AssetEvent(kind=AssetKind.UPDATED, id="a1")
    with pytest.raises(Unreadable):
        notification(event(data={}))


def test_a_batch() -> None:
    other = event("deleted", id="e2", eventid="e0")
    found = notification([event(), event("metadata_updated"), other])
    assert [one.kind for one in found.events] == [AssetKind.UPDATED, AssetKind.DELETED]
    assert found.event_id not in (None, "e1", "e0")
    assert notification([event(id=None)]).event_id is None


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (event("metadata_updated"), "aem.assets.asset.metadata_updated changes no file"),
        ({"type": "com.adobe.other"}, "com.adobe.other changes no file"),
        ([], "the batch is empty"),
        (
            event(data={"assetId": "a", "repositoryMetadata": {"dc:format": "video/mp4"}}),
            "about a file of type video/mp4, not an image",
        ),
    ],
)
def test_what_is_not_about_an_image(document: Any, why: str) -> None:
    found = notification(document)
    assert (found.instead, found.events) == (Ignored(why), ())
