"""`auth: {jwt: …}`: whose tokens let in, every reason for a refusal, keys pinned, published and rotated."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from support import vector_sources
from support.loopback import serve
from support.senders import NAME, NOW, PATH, ed25519_key, private_pem, rsa_key, secrets
from support.tokens import (
    APP,
    ENTRA,
    ENTRA_CLAIMS,
    GOOGLE,
    GOOGLE_CLAIMS,
    ISSUER,
    ISSUER_CLAIMS,
    KEY_ID,
    SECONDS,
    TENANT,
    bearing,
    jwk,
    jwks,
    token,
)
from support.vectors import VECTORS, cases, verdict

from service.domain.errors import CommandFailed, KeyUnknown, Refused
from service.domain.requests import RawRequest
from service.ingest.pipeline import Pipeline, build_pipelines
from service.ingest.published_keys import verified
from service.network import Network
from service.providers.base import Provider, Sample, SourceProblem
from service.providers.json_web_tokens import parsed_keys
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Auth, Jwt, Settings, Source

PRESETS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "google": (GOOGLE, GOOGLE_CLAIMS),
    "entra": (ENTRA, ENTRA_CLAIMS),
    "generic": (ISSUER, ISSUER_CLAIMS),
}


def made(settings: Mapping[str, Any], **more: Any) -> Provider:
    usual: dict[str, Any] = {"public_keys": secrets(jwks())}
    return build(NAME, Source(provider="jwt", auth=Auth(jwt=Jwt(**settings)), **usual | more))


def outcome(provider: Provider, request: RawRequest, seconds: float = 0, key: bytes | None = None) -> str:
    try:
        found = verify(provider, request, NOW + timedelta(seconds=seconds), key)
    except Refused as error:
        return error.reason
    assert found.signed_at is None
    return found.scheme


@pytest.mark.parametrize("preset", PRESETS)
def test_a_token_lets_in_and_its_credential_is_not_kept(preset: str) -> None:
    settings, claims = PRESETS[preset]
    provider = made(settings)
    request = bearing(token(claims))
    assert outcome(provider, request) == "jwt"
    assert verify(provider, request, NOW).headers == {}
    assert provider.key_urls(request) == ()
    assert provider.stored_path(PATH) == PATH
    assert provider.credential is not None
    assert provider.credential.challenge == "Bearer"


@pytest.mark.parametrize(
    ("preset", "changes", "expected"),
    [
        ("google", {"iss": "accounts.google.com"}, "jwt"),
        ("google", {"iss": "https://accounts.google.com/"}, "token_issuer_mismatch"),
        ("google", {"iss": None}, "token_issuer_mismatch"),
        ("google", {"aud": "https://relay.example.com/hooks/hook?a=1"}, "token_audience_mismatch"),
        ("google", {"aud": [GOOGLE["audience"]]}, "token_audience_mismatch"),
        ("google", {"aud": None}, "token_audience_mismatch"),
        ("google", {"email": "push@other.iam.gserviceaccount.com"}, "token_email_mismatch"),
        ("google", {"email": None}, "token_email_mismatch"),
        ("google", {"email_verified": False}, "token_email_unverified"),
        ("google", {"email_verified": "false"}, "token_email_unverified"),
        ("google", {"email_verified": 1}, "token_email_unverified"),
        ("google", {"email_verified": None}, "token_email_unverified"),
        ("entra", {"iss": f"https://login.microsoftonline.com/{TENANT}/v2.0", "appid": None, "azp": APP}, "jwt"),
        ("entra", {"azp": APP}, "jwt"),
        ("entra", {"iss": "https://sts.windows.net/99999999-2222-3333-4444-555555555555/"}, "token_issuer_mismatch"),
        ("entra", {"tid": "99999999-2222-3333-4444-555555555555"}, "token_tenant_mismatch"),
        ("entra", {"tid": None}, "token_tenant_mismatch"),
        ("entra", {"appid": "22222222-2222-4222-8222-222222222222"}, "token_application_mismatch"),
        ("entra", {"azp": "22222222-2222-4222-8222-222222222222"}, "token_application_mismatch"),
        ("entra", {"appid": None}, "token_application_mismatch"),
        ("entra", {"roles": ["Reader"]}, "token_role_missing"),
        ("entra", {"roles": "Sender"}, "token_role_missing"),
        ("entra", {"roles": None}, "token_role_missing"),
        ("generic", {"iss": "https://issuer.example/"}, "token_issuer_mismatch"),
        ("generic", {"exp": None}, "token_expiry_missing"),
        ("generic", {"exp": "soon"}, "token_malformed"),
        ("generic", {"iat": True}, "token_malformed"),
        ("generic", {"iat": -1}, "token_malformed"),
        ("generic", {"exp": 1e300}, "token_malformed"),
        ("generic", {"exp": SECONDS - 9.5}, "jwt"),
        ("generic", {"exp": SECONDS - 10}, "token_expired"),
        ("generic", {"iat": SECONDS + 10}, "jwt"),
        ("generic", {"iat": SECONDS + 11}, "token_not_yet_valid"),
        ("generic", {"nbf": SECONDS + 11}, "token_not_yet_valid"),
        ("generic", {"exp": SECONDS + 86_400}, "jwt"),
        ("generic", {"exp": SECONDS + 86_401}, "token_lifetime_too_long"),
        ("generic", {"iat": None, "nbf": SECONDS - 5, "exp": SECONDS + 86_396}, "token_lifetime_too_long"),
        ("generic", {"iat": None, "exp": SECONDS + 86_401}, "token_lifetime_too_long"),
    ],
)
def test_what_a_token_says(preset: str, changes: Mapping[str, Any], expected: str) -> None:
    settings, claims = PRESETS[preset]
    assert outcome(made(settings), bearing(token({**claims, **changes}))) == expected


def test_a_longer_life_where_the_settings_allow_it() -> None:
    request = bearing(token({**ISSUER_CLAIMS, "exp": SECONDS + 90_000}))
    assert outcome(made({**ISSUER, "max_lifetime": 90_000}), request) == "jwt"


@pytest.mark.parametrize("preset", PRESETS)
def test_who_is_meant_can_be_said_more_closely(preset: str) -> None:
    settings, claims = PRESETS[preset]
    provider = made({**settings, "subject": "robot", "claims": {"scope": "purge", "level": "3"}})
    right = {**claims, "sub": "robot", "scope": "purge", "level": 3}
    assert outcome(provider, bearing(token(right))) == "jwt"
    assert outcome(provider, bearing(token({**right, "sub": "robot2"}))) == "token_subject_mismatch"
    assert outcome(provider, bearing(token({**right, "scope": None}))) == "token_claim_mismatch"
    assert outcome(provider, bearing(token({**right, "level": 4}))) == "token_claim_mismatch"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "credential_missing"),
        ({"authorization": "Basic dTpw"}, "credential_malformed"),
        ({"authorization": "Bearer"}, "token_malformed"),
        ({"authorization": "Bearer \xff.\xff.\xff"}, "token_malformed"),
        ({"authorization": "Bearer \u0661"}, "header_malformed"),
    ],
)
def test_no_token(headers: Mapping[str, str], expected: str) -> None:
    for settings in (GOOGLE, ISSUER):
        assert outcome(made(settings), RawRequest.of("POST", PATH, headers, b"{}")) == expected


@pytest.mark.parametrize("preset", ["google", "entra"])
def test_a_preset_takes_rs256_and_a_key_id_alone(preset: str) -> None:
    settings, claims = PRESETS[preset]
    keys = jwks(jwk(), jwk("ES256"), jwk("EdDSA"))
    provider = made(settings, public_keys=secrets(keys))
    for algorithm in ("PS256", "ES256", "EdDSA"):
        assert outcome(provider, bearing(token(claims, algorithm))) == "token_algorithm_refused"
    confused = token(claims, "HS256", key=b"fake-public-key-taken-for-a-secret")
    assert outcome(provider, bearing(confused)) == "token_algorithm_refused"
    assert outcome(provider, bearing(token(claims, headers={"kid": None}))) == "token_key_id_missing"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_other_algorithms_where_they_are_agreed_upon(algorithm: str) -> None:
    keys = secrets(jwks(jwk(algorithm)))
    request = bearing(token(ISSUER_CLAIMS, algorithm))
    assert outcome(made({**ISSUER, "algorithms": [algorithm]}, public_keys=keys), request) == "jwt"
    expected = "jwt" if algorithm == "RS256" else "token_algorithm_refused"
    assert outcome(made(ISSUER, public_keys=keys), request) == expected


def test_a_key_that_the_token_brings_along_is_not_looked_at() -> None:
    own = {"jwk": jwk("ES256"), "jku": "https://evil.example/keys", "x5u": "https://evil.example/x"}
    provider = made({**ISSUER, "algorithms": ["RS256", "ES256"]})
    request = bearing(token(ISSUER_CLAIMS, "ES256", own))
    assert provider.key_urls(request) == ()
    assert outcome(provider, request) == "token_algorithm_refused"


@pytest.mark.parametrize("spelling", ["hex", "base64", "base64url"])
def test_a_claim_binds_the_body(spelling: str) -> None:
    digest = hashlib.sha256(b'{"a": 1}').digest()
    spelled = {
        "hex": digest.hex(),
        "base64": base64.b64encode(digest).decode(),
        "base64url": base64.urlsafe_b64encode(digest).decode().rstrip("="),
    }
    provider = made({**ISSUER, "body_hash_claim": "payload_hash"})
    given = token({**ISSUER_CLAIMS, "payload_hash": spelled[spelling]})
    assert outcome(provider, bearing(given, b'{"a": 1}')) == "jwt"
    assert outcome(provider, bearing(given, b'{"a": 2}')) == "body_not_signed"
    signed = provider.sign(Sample(b'{"a": 1}'), PATH, NOW, private_pem(rsa_key()))
    assert outcome(provider, signed) == "jwt"
    for wrong in (None, 5, "\u00e9", ""):
        request = bearing(token({**ISSUER_CLAIMS, "payload_hash": wrong}), b'{"a": 1}')
        assert outcome(provider, request) == "body_not_signed"


def test_a_secret_signs() -> None:
    old, new = "fake-old-secret-of-thirty-two-bytes", "fake-new-secret-of-thirty-two-bytes"
    provider = made({"subject": "robot"}, public_keys=[], secrets=secrets(new, old))
    claims = {"sub": "robot", "exp": SECONDS + 60}
    for key, expected in ((new, "jwt"), (old, "jwt"), (f"{old}!", "signature_mismatch")):
        assert outcome(provider, bearing(token(claims, "HS256", key=key))) == expected
    assert outcome(provider, bearing(token(claims))) == "token_algorithm_refused"
    request = provider.sign(Sample(b"{}"), PATH, NOW)
    assert outcome(provider, request) == "jwt"
    assert provider.key_urls(request) == ()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_sample_is_signed_with_the_key_that_is_pinned(preset: str) -> None:
    provider = made(PRESETS[preset][0])
    request = provider.sign(Sample(b"{}"), PATH, NOW, private_pem(rsa_key()))
    assert outcome(provider, request) == "jwt"
    assert outcome(provider, request, 3611) == "token_expired"
    with pytest.raises(CommandFailed, match="with --signing-key"):
        provider.sign(Sample(b"{}"), PATH, NOW)
    with pytest.raises(CommandFailed, match="not for RS256"):
        provider.sign(Sample(b"{}"), PATH, NOW, private_pem(ed25519_key()))


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (GOOGLE, "https://www.googleapis.com/oauth2/v3/certs"),
        ({**GOOGLE, "issuer": "https://accounts.google.com"}, "https://www.googleapis.com/oauth2/v3/certs"),
        (ENTRA, f"https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"),
        ({**ISSUER, "jwks_url": "https://issuer.example/keys"}, "https://issuer.example/keys"),
    ],
)
def test_published_keys(settings: Mapping[str, Any], url: str) -> None:
    provider = made(settings, public_keys=[])
    claims = next(
        claims for one, claims in PRESETS.values() if set(one) <= set(settings) and one["audience"] == claims["aud"]
    )
    request = bearing(token(claims))
    assert provider.key_urls(request) == (url,)
    assert outcome(provider, request, key=jwks().encode()) == "jwt"
    assert outcome(provider, request) == "key_missing"
    assert outcome(provider, request, key=b"{}") == "key_unreadable"
    assert outcome(provider, request, key=b"\n") == "key_unreadable"
    with pytest.raises(KeyUnknown):
        verify(provider, request, NOW, jwks(jwk(kid="older")).encode())
    with pytest.raises(Refused, match="three parts"):
        provider.key_urls(bearing("nonsense"))


PUBLISHED = json.loads((VECTORS / "storage-public-keys.json").read_bytes())


@pytest.mark.parametrize(
    ("file", "case", "published"),
    [
        ("gcs-pubsub", "pubsub-gcp-ok", "google_jwks"),
        ("gcs-pubsub", "pubsub-gcp-unknown-kid", "google_jwks"),
        ("azure-eventgrid", "azure-entra-v1-ok", "entra_jwks"),
        ("azure-eventgrid", "azure-entra-other-key", "entra_jwks"),
    ],
)
def test_recorded_tokens_and_what_their_issuers_publish(file: str, case: str, published: str) -> None:
    found = next(one.values[0] for one in cases(file) if one.id == case)
    auth = vector_sources.settings(file, found)["auth"]["jwt"]
    provider = build(NAME, Source(provider=file, auth=Auth(jwt=Jwt(**auth))))
    reasons = {"pubsub-gcp-unknown-kid": "key_unknown", "azure-entra-other-key": "signature_mismatch"}
    said = verdict(provider, found, NOW, json.dumps(PUBLISHED[published]).encode())
    assert said == reasons.get(case, "accepted")


def test_google_s_certificates_and_key_set_are_the_same_keys() -> None:
    ((key_id, certificate),) = PUBLISHED["google_certs"].items()
    (one,), (other,) = parsed_keys(certificate.encode()), parsed_keys(json.dumps(PUBLISHED["google_jwks"]).encode())
    assert (one.public, key_id) == (other.public, other.id)


async def test_a_rotated_key_set_is_fetched_once_more_a_minute_at_most() -> None:
    published = {"keys": jwks(jwk(kid="older"))}
    asked: list[str] = []

    async def keys(request: Request) -> Response:
        asked.append(request.url.path)
        return Response(published["keys"], media_type="application/json")

    def claims(at: float) -> dict[str, Any]:
        return {**ISSUER_CLAIMS, "iat": SECONDS + at, "exp": SECONDS + at + 300}

    async def judged(network: Network, pipeline: Pipeline, seconds: float, key_id: str) -> str:
        request = bearing(token(claims(seconds), headers={"kid": key_id}))
        try:
            urls = pipeline.provider.key_urls(request)
            return (await verified(pipeline, request, NOW + timedelta(seconds=seconds), network, urls)).scheme
        except Refused as error:
            return error.reason

    with serve(Starlette(routes=[Route("/keys", keys)])) as base:
        source = Source(provider="jwt", auth=Auth(jwt=Jwt(**ISSUER, jwks_url=f"{base}/keys")))
        pipeline = build_pipelines(Settings(sources={NAME: source}), lambda _: b"")[NAME]
        async with Network.open() as network:
            assert await judged(network, pipeline, 0, "older") == "jwt"
            published["keys"] = jwks()
            assert await judged(network, pipeline, 30, KEY_ID) == "key_unknown"
            assert len(asked) == 1, "what was fetched within a minute is not fetched again"
            assert await judged(network, pipeline, 61, KEY_ID) == "jwt"
            for seconds in (62, 63, 120):
                assert await judged(network, pipeline, seconds, "no one's") == "key_unknown"
            assert len(asked) == 2
            assert await judged(network, pipeline, 122, "no one's") == "key_unknown"
            assert len(asked) == 3


@pytest.mark.parametrize(
    ("settings", "key", "message"),
    [
        ({}, "auth.jwt", "are not told apart without issuer and audience"),
        ({"email": "a@b"}, "auth.jwt", "Google's tokens are not told apart without audience"),
        ({"issuer": "https://accounts.google.com"}, "auth.jwt", "without audience and email"),
        ({"tenant": TENANT}, "auth.jwt", "Entra's tokens are not told apart without audience and app_id and role"),
        ({"app_id": APP}, "auth.jwt", "without tenant and audience and role"),
        ({"role": "R"}, "auth.jwt", "without tenant and audience and app_id"),
        ({**GOOGLE, "issuer": "https://issuer.example"}, "auth.jwt.issuer", "goes with `email` only as https://acc"),
        ({**GOOGLE, "jwks_url": "https://a.example"}, "auth.jwt.jwks_url", "does not go with Google's tokens"),
        ({**GOOGLE, "algorithms": ["ES256"]}, "auth.jwt.algorithms", "does not go with Google's tokens"),
        ({**GOOGLE, "body_hash_claim": "h"}, "auth.jwt.body_hash_claim", "does not go with Google's tokens"),
        ({**ENTRA, "email": "a@b"}, "auth.jwt.email", "does not go with Entra's tokens"),
        ({**ENTRA, "tenant": "common"}, "auth.jwt.tenant", "is no GUID"),
        ({**ENTRA, "tenant": f"{TENANT}\n"}, "auth.jwt.tenant", "is no GUID"),
        ({**ENTRA, "tenant": f"{TENANT}/../x"}, "auth.jwt.tenant", "is no GUID"),
        ({**ENTRA, "app_id": "event-grid"}, "auth.jwt.app_id", "is no GUID"),
        ({**ISSUER, "jwks_url": "http://keys.example"}, "auth.jwt.jwks_url", "must be https"),
        ({**ISSUER, "jwks_url": "keys.example"}, "auth.jwt.jwks_url", "must be an http or https URL"),
        ({**ISSUER, "jwks_url": "https://keys.example"}, "auth.jwt.jwks_url", "does nothing beside `public_keys`"),
    ],
)
def test_settings_that_do_not_suit(settings: Mapping[str, Any], key: str, message: str) -> None:
    with pytest.raises(SourceProblem, match=message) as caught:
        made(settings)
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("settings", "more", "key", "message"),
    [
        (ISSUER, {"public_keys": []}, "auth.jwt", "has nobody's keys"),
        (ISSUER, {"public_keys": secrets("nonsense")}, "public_keys", "a public key of RSA"),
        (ISSUER, {"secrets": secrets("fake")}, "public_keys", "it is not clear which of them signs"),
        (GOOGLE, {"public_keys": [], "secrets": secrets("fake")}, "secrets", "signed with a published key"),
        (ENTRA, {"public_keys": [], "secrets": secrets("fake")}, "secrets", "signed with a published key"),
        (ISSUER, {"public_keys": [], "secrets": secrets("")}, "secrets", "an empty secret"),
        (
            {**ISSUER, "algorithms": ["ES256"]},
            {"public_keys": [], "secrets": secrets("f")},
            "auth.jwt.algorithms",
            "go",
        ),
        (ISSUER, {"signature_algorithm": "sha1"}, "signature_algorithm", "no such option"),
    ],
)
def test_keys_that_do_not_suit(settings: Mapping[str, Any], more: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(SourceProblem, match=message) as caught:
        made(settings, **more)
    assert caught.value.key == key


def test_a_tenant_in_capitals_is_the_same() -> None:
    provider = made({**ENTRA, "tenant": TENANT.upper(), "app_id": APP.upper()})
    assert outcome(provider, bearing(token(ENTRA_CLAIMS))) == "jwt"


def test_where_jwt_is_not_offered_and_where_it_is_missing() -> None:
    with pytest.raises(SourceProblem, match="does not offer jwt"):
        build(NAME, Source(provider="minio", auth=Auth(jwt=Jwt(**GOOGLE))))
    with pytest.raises(SourceProblem, match=r"give `auth: \{jwt: …\}`"):
        build(NAME, Source(provider="jwt", secrets=secrets("fake")))
