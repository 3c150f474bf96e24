"""What every provider has in common: names, options, warnings, and the type that only verification makes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.senders import AUTHS, CASES, NAME, NOW, PROVIDERS, SECRETS, make, problem, secrets, signed, source

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.providers.base import SourceProblem, refuse_stale
from service.providers.registry import PROVIDERS as REGISTERED
from service.providers.registry import build, provider_class
from service.providers.verification import restore, verify
from service.settings.model import Hmac, Source

OPTIONS: Mapping[str, Any] = {
    "public_keys": secrets("fake"),
    "topics": ["arn:x"],
    "bases": {"b": "https://x/"},
    "key_encoding": "form",
    "signature_algorithm": "sha1",
    "emulator": "http://127.0.0.1:1",
    "project_id": "p",
    "dataset": "d",
    "cdn_host": "h",
    "cloud_name": "c",
    "hmac": Hmac(header="X-Signature"),
    "registered_url": "https://relay.example.com/hooks/hook",
    "region": "eu",
    "allowed_origins": ["events.example.com"],
    "covered": ["content-digest"],
}
# Whoever takes a token takes pinned keys, whatever the provider.
TOKENS = {name for name, case in CASES.items() if "jwt" in case.source.get("auth", {})}

# Credentials by their very name, and those that would confirm a stranger's subscription.
ALWAYS_VERIFIED = ("aws-sns", "basic", "bearer", "bynder", "capability-url", "header", "jwt", "wasabi")


def test_every_registered_provider_is_tested() -> None:
    assert set(REGISTERED) == set(PROVIDERS)


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_the_product_says_of_a_provider(name: str) -> None:
    info = provider_class(name).info
    assert info.name == name
    assert info.doc_url.startswith("https://")
    assert info.title
    assert info.signs
    assert info.tolerance is None or info.tolerance > 0
    assert {header.lower() for header in info.stored_headers} == info.stored_headers
    assert not info.stored_headers & {"authorization", "cookie", "x-relay-key"}
    assert set(info.options) <= set(OPTIONS)
    assert ("capability" in info.auth) is not CASES[name].no_capability
    assert info.success_status in (200, 204)


def test_an_unknown_provider() -> None:
    with pytest.raises(SourceProblem) as found:
        build(NAME, Source(provider="nobody"))
    assert found.value.key == "provider"
    assert str(found.value) == f"unknown provider 'nobody'; known: {', '.join(sorted(PROVIDERS))}"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name in PROVIDERS
        for option in OPTIONS
        if option not in provider_class(name).info.options and (option != "public_keys" or name not in TOKENS)
    ],
)
def test_an_option_that_would_do_nothing_is_an_error(name: str, option: str) -> None:
    assert problem(name, **{option: OPTIONS[option]}) == (option, f"{name} has no such option")


@pytest.mark.parametrize("name", [name for name in PROVIDERS if provider_class(name).info.tolerance is None])
def test_a_tolerance_where_no_time_is_signed_is_an_error(name: str) -> None:
    assert problem(name, tolerance=60.0) == ("tolerance", f"{name} signs no time, so this would do nothing")


@pytest.mark.parametrize("name", SECRETS)
def test_secrets(name: str) -> None:
    assert problem(name, secrets=[])[0] == ("auth.jwt" if name in TOKENS else "secrets")
    assert problem(name, secrets=secrets("")) == ("secrets", "an empty secret would let everybody in")
    assert problem(name, secrets=secrets(SECRETS[name], ""))[0] == "secrets"
    for kind in set(provider_class(name).info.auth) - {"jwt"}:
        assert problem(name, secrets=[], auth=AUTHS[kind]) == ("secrets", f"auth: {kind} takes its values from here")


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("contentful", "tolerance", 60.0),
        ("sanity", "tolerance", 0.0),
        ("cloudinary", "signature_algorithm", "sha1"),
        ("standard-webhooks", "public_keys", secrets("fake")),
    ],
)
def test_a_credential_leaves_nothing_to_what_signatures_need(name: str, option: str, value: Any) -> None:
    settings = {"auth": AUTHS["capability"], option: value}
    assert problem(name, **settings) == (option, "with `auth:` no signature is looked at, so this would do nothing")


def test_amazon_s_signature_is_looked_at_beside_a_credential() -> None:
    assert make("aws-sns", auth=AUTHS["capability"], secrets=secrets("fake"), tolerance=60.0).tolerance == 60


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_source_that_says_so_takes_what_anybody_sends(name: str) -> None:
    settings: dict[str, Any] = {"secrets": [], "public_keys": [], "auth": None, "unverified": True}
    if name in ALWAYS_VERIFIED:
        assert problem(name, **settings)[0] == "unverified"
        return
    provider = make(name, **settings)
    request = RawRequest.of("POST", "/hooks/hook", signed(provider).headers, signed(provider).body)
    found = verify(provider, request, NOW)
    assert (found.scheme, found.signed_at) == ("unverified", None)
    assert provider.read(found).events
    for option, value in (("secrets", secrets("fake")), ("auth", AUTHS["capability"]), ("tolerance", 60.0)):
        key, message = problem(name, **settings | {option: value})
        assert key in ("unverified", option)
        assert key == option or message == f"and `{option}` contradict each other: give one of them"


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_usual_source_is_warned_of_nothing(name: str) -> None:
    provider = make(name)
    assert type(provider).warnings(source(name)) == []
    shown = {"capability": "/hooks/***?code=x", "query": "/hooks/hook?code=***"}
    kind = "" if provider.credential is None else provider.credential.kind
    assert provider.stored_path("/hooks/hook?code=x") == shown.get(kind, "/hooks/hook?code=x")


@pytest.mark.parametrize("name", SECRETS)
def test_schemes_with_a_shared_secret_need_no_published_key(name: str) -> None:
    provider = make(name)
    assert provider.key_urls(signed(provider)) == ()


@pytest.mark.parametrize(
    ("seconds", "tolerance", "reason"),
    [
        (300, 300, None),
        (300.001, 300, "timestamp_too_old"),
        (-300, 300, None),
        (-300.001, 300, "timestamp_too_new"),
        (0, 0, None),
        (10**9, None, None),
    ],
)
def test_stale_times(seconds: float, tolerance: float | None, reason: str | None) -> None:
    try:
        refuse_stale(NOW - timedelta(seconds=seconds), NOW, tolerance)
        found = None
    except Refused as error:
        found = error.reason
    assert found == reason


def test_a_stored_request_is_what_it_was_when_it_was_verified() -> None:
    provider = make("sanity")
    request = signed(provider)
    first = verify(provider, request, NOW)
    again = restore(
        source=first.source,
        scheme=first.scheme,
        headers=first.headers,
        body=first.body,
        received_at=first.received_at,
        signed_at=first.signed_at,
    )
    assert again == first
