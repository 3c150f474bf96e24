"""Azure Event Grid: its vectors, both handshakes, blobs in both schemas, the topic, and Entra's tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from support.senders import AUTHS, NAME, NOW, PATH, changed, make, problem, secrets, signed, verified
from support.tokens import APP, ENTRA_CLAIMS, ISSUER, TENANT, bearing, jwk, jwks, token
from support.vectors import cases, request_of, verdict

from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, Challenge, Ignored
from service.domain.requests import Greeting, RawRequest
from service.providers.base import Provider
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Auth, Jwt, Source

BASES = {"photos": "https://img.example.com/"}
ACCOUNT = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/myacct"
KEY_SET = json.dumps({"keys": [jwk()]})


def of_vector(case: Mapping[str, Any]) -> Provider:
    """The source that a vector's config or secret stands for."""
    config, secret = case.get("config"), case["secret"]
    if config is not None:
        role = Jwt(
            tenant=config["tenant"],
            audience=config["audience"],
            app_id=config["eventgrid_app_id"],
            role=config["role"],
            max_lifetime=10**10,
        )
        settings: dict[str, Any] = {"auth": Auth(jwt=role), "public_keys": secrets(json.dumps(config["jwks"]))}
    elif "query" in secret:
        settings = {"auth": Auth(query="code"), "secrets": secrets(secret["query"]["code"])}
    else:
        settings = {"auth": Auth(header=secret["header"]), "secrets": secrets(secret["value"])}
    return build(NAME, Source(provider="azure-eventgrid", bases=BASES, **settings))


REASONS = {
    "azure-entra-other-key": "signature_mismatch",
    "azure-wrong-code": "credential_mismatch",
    "azure-validation-nosecret": "credential_missing",
    "azure-two-codes": "credential_repeated",
    "azure-ce-options-evil": "origin_not_allowed",
    "azure-entra-wrong-tenant": "token_issuer_mismatch",
    "azure-entra-other-app": "token_application_mismatch",
    "azure-entra-wrong-aud": "token_audience_mismatch",
    "azure-entra-no-role": "token_role_missing",
    "azure-entra-api-uri-aud": "token_audience_mismatch",
}


def asked(provider: Provider, request: RawRequest) -> Greeting | str | None:
    try:
        return provider.greeting(request, NOW)
    except Refused as error:
        return error.reason


@pytest.mark.parametrize("case", cases("azure-eventgrid"))
def test_every_vector(case: Mapping[str, Any]) -> None:
    provider, request = of_vector(case), request_of(case)
    if request.method == "OPTIONS":
        found = asked(provider, request)
        assert isinstance(found, Greeting) is case["valid"]
        assert isinstance(found, Greeting) or found == REASONS[case["id"]]
        return
    said = verdict(provider, case, NOW)
    assert said == ("accepted" if case["valid"] else REASONS.get(case["id"], "accepted"))
    if case["valid"] and "validationResponse" not in str(case["expect"]):
        events = provider.read(verify(provider, request, NOW)).events
        assert [(one.bucket, one.key, one.kind.gone) for one in events] == [
            (one["bucket"], one["key"], one["op"] == "delete") for one in case["expect"]
        ]


def event(kind: str = "BlobCreated", **more: Any) -> dict[str, Any]:
    usual = {
        "topic": ACCOUNT,
        "subject": "/blobServices/default/containers/photos/blobs/a/b c.jpg",
        "eventType": f"Microsoft.Storage.{kind}",
        "eventTime": "2026-11-24T04:00:00.1234567Z",
        "id": "e1",
        "data": {},
    }
    return usual | more


def read(*documents: Any) -> tuple[AssetEvent, ...]:
    provider = make("azure-eventgrid", bases=BASES)
    return provider.read(verified(json.dumps(list(documents)).encode())).events


def test_what_a_blob_s_event_says() -> None:
    url = "https://myacct.blob.core.windows.net/photos/a/b%20c.jpg"
    data = {"url": url, "eTag": '"0x8D4"', "contentType": "image/png", "sequencer": "00000004"}
    (found,) = read(event(data=data))
    assert (found.kind.value, found.id, found.bucket, found.key) == (
        "updated",
        "photos/a/b c.jpg",
        "photos",
        "a/b c.jpg",
    )
    assert found.urls == ("https://img.example.com/a/b%20c.jpg", url)
    assert (found.content_hash, found.mime_type, found.sequence) == ("0x8D4", "image/png", "00000004")
    assert found.occurred_at == datetime.fromisoformat("2026-11-24T04:00:00.123456Z")
    (bare,) = read(event(data={"url": "nonsense", "sequencer": "a b"}))
    assert (bare.urls, bare.content_hash, bare.sequence) == (("https://img.example.com/a/b%20c.jpg",), None, None)


def test_a_renamed_blob_is_gone_under_its_old_name() -> None:
    host = "https://myacct.blob.core.windows.net/photos"
    gone, came = read(
        event("BlobRenamed", data={"sourceUrl": f"{host}/old.jpg?a", "destinationUrl": f"{host}/new.jpg"})
    )
    assert (gone.kind.value, gone.key, gone.urls[0]) == ("deleted", "old.jpg", "https://img.example.com/old.jpg")
    assert (came.kind.value, came.key, came.urls[0]) == ("renamed", "new.jpg", "https://img.example.com/new.jpg")
    assert came.earlier_urls == gone.urls
    (alone,) = read(event("BlobRenamed", data={"sourceUrl": 5, "destinationUrl": f"{host}/new.jpg"}))
    assert (alone.kind.value, alone.earlier_urls) == ("renamed", ())
    assert read(event("BlobRenamed", data={"sourceUrl": "https://host", "destinationUrl": f"{host}/"})) == ()


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        ([event("DirectoryDeleted")], "names no blob"),
        ([event("BlobTierChanged"), event("DirectoryRenamed")], "names no blob"),
        ([event("BlobTierChanged")], "no event tells"),
        ([event(subject="/other")], "no event tells"),
        ([event(eventType=5)], "no event tells"),
        ([], "no event tells"),
    ],
)
def test_what_is_not_about_a_blob(documents: list[Any], reason: str) -> None:
    found = make("azure-eventgrid").read(verified(json.dumps(documents).encode()))
    assert isinstance(found.instead, Ignored)
    assert reason in found.instead.reason


def validation(code: Any, **more: Any) -> dict[str, Any]:
    kind = "Microsoft.EventGrid.SubscriptionValidationEvent"
    return event(eventType=kind, data={"validationCode": code, "validationUrl": "https://evil.example"}, **more)


def test_the_validation_s_code_is_sent_back() -> None:
    provider = make("azure-eventgrid")
    found = provider.read(verified(json.dumps([validation("512d38b6-c7b8")]).encode())).instead
    assert found == Challenge(b'{"validationResponse":"512d38b6-c7b8"}', "Event Grid asked whether it may send here")
    for code in (None, 5, "", "<script>", "a" * 65):
        with pytest.raises(Unreadable, match="no code"):
            provider.read(verified(json.dumps([validation(code)]).encode()))
    mixed = provider.read(verified(json.dumps([validation("512d38b6"), event()]).encode()))
    assert (mixed.instead, len(mixed.events)) == (None, 1)


@pytest.mark.parametrize("body", [b"1", b"[1]", b'["a"]'])
def test_what_holds_no_events(body: bytes) -> None:
    with pytest.raises(Unreadable, match="holds no events"):
        make("azure-eventgrid").read(verified(body))


def outcome(provider: Provider, request: RawRequest) -> str:
    try:
        return verify(provider, request, NOW).scheme
    except Refused as error:
        return error.reason


def test_the_account_is_pinned() -> None:
    provider = make("azure-eventgrid", topics=[ACCOUNT.upper()])
    request = signed(provider)
    both = [{**event(), "source": "other"}, {**event(), "topic": None, "source": ACCOUNT}]
    assert outcome(provider, changed(request, body=json.dumps(both).encode())) == "query"
    assert outcome(provider, request) == "topic_not_allowed"
    mixed = json.dumps([event(), event(topic="/other")]).encode()
    assert outcome(provider, changed(request, body=mixed)) == "topic_not_allowed"
    assert outcome(provider, changed(request, body=b"{")) == "message_malformed"
    assert outcome(provider, changed(request, body=b"{", path=PATH)) == "credential_missing"


def options(path: str = f"{PATH}?code=fake-azure-query-secret", **headers: str) -> RawRequest:
    given = {"webhook-request-origin": "EventGrid.azure.net"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return RawRequest.of("OPTIONS", path, given, b"")


@pytest.mark.parametrize(("quota", "rate"), [(None, "*"), ("600/minute", "600"), ("5/s", "300"), ("10/hour", "1")])
def test_consent(quota: str | None, rate: str) -> None:
    found = asked(make("azure-eventgrid", quota=quota), options(webhook_request_callback="http://169.254.169.254/"))
    assert isinstance(found, Greeting)
    assert (found.status, found.body) == (200, b"")
    assert found.headers == {
        "allow": "POST",
        "webhook-allowed-origin": "eventgrid.azure.net",
        "webhook-allowed-rate": rate,
    }


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (options(PATH), "credential_missing"),
        (options(f"{PATH}?code=wrong"), "credential_mismatch"),
        (options(webhook_request_origin="evil.example"), "origin_not_allowed"),
        (options(webhook_request_origin=""), "origin_missing"),
        (options(webhook_request_origin="*"), "origin_not_allowed"),
        (RawRequest.of("OPTIONS", PATH, {}, b""), None),
        (RawRequest.of("POST", PATH, {"webhook-request-origin": "eventgrid.azure.net"}, b""), None),
    ],
)
def test_no_consent(request_: RawRequest, expected: str | None) -> None:
    assert asked(make("azure-eventgrid"), request_) == expected


def test_consent_by_token_takes_its_keys_and_without_any_credential_the_origin_alone() -> None:
    jwt = Jwt(tenant=TENANT, audience="api://relay", app_id=APP, role="Sender")
    bearer = bearing(token(ENTRA_CLAIMS)).header("authorization") or ""
    request = options(PATH, authorization=bearer)
    pinned = Source(provider="azure-eventgrid", auth=Auth(jwt=jwt), public_keys=secrets(KEY_SET))
    assert isinstance(asked(build(NAME, pinned), request), Greeting)
    assert asked(build(NAME, Source(provider="azure-eventgrid", auth=Auth(jwt=jwt))), request) == "key_missing"
    assert isinstance(asked(build(NAME, Source(provider="azure-eventgrid", unverified=True)), request), Greeting)


def test_settings_that_do_not_suit() -> None:
    assert problem("azure-eventgrid", auth=None)[0] == "auth"
    key, message = problem("azure-eventgrid", auth=Auth(jwt=Jwt(**ISSUER)), public_keys=secrets(jwks()), secrets=[])
    assert (key, "is not Entra's" in message) == ("auth.jwt", True)
    assert problem("azure-eventgrid", auth=AUTHS["bearer"])[0] == "auth"
