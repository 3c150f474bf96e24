"""Whatever comes in, the answer is a verdict: nothing but Refused, Unreadable and KeyUnavailable is ever raised.

Every provider is here, and so is every new one: what it is fed is made of its own samples and recorded webhooks.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.hostile import WORDS, any_body, any_headers, any_path, documents, encoded, header_values, text, variations
from support.senders import (
    AUTHS,
    CASES,
    NOW,
    PATH,
    PROVIDERS,
    changed,
    make,
    rsa_key,
    secrets,
    signed_sample,
    verified,
)

from service.domain.errors import KeyUnavailable, Refused, Unreadable
from service.domain.requests import RawRequest
from service.providers.base import Provider, SourceProblem
from service.providers.json_web_tokens import Token
from service.providers.keys import certificate_key
from service.providers.signatures import hmac_sha256, rsa_signature, to_base64url
from service.providers.verification import verify

pytestmark = pytest.mark.unwatched  # a quarter of all the tests' work; what it finds becomes an example elsewhere

HOSTILE = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))

METHODS = ("POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "", "é")
KEYS = st.binary(max_size=60) | st.sampled_from(
    (
        *(b"", b"no certificate", b"{", b"[]", b"null", b'{"keys":{}}', b'{"keys":[]}', b'{"keys":[1,null,{}]}'),
        b'{"keys":[{"kty":"RSA","kid":"1","alg":"RS256","use":"sig","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"}]}',
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----"
        % b"MCowBQYDK2VwAyEAMzqVVIj2eU1Fs2hEtQtIU2vacPmzwdJuPYz2jw6PDqs=",
    )
)


@cache
def configured(name: str) -> list[Provider]:
    """A provider as a source may have it: as usual, with the vendor's published keys, each credential, or none."""
    found = [make(name)]
    wishes: list[dict[str, Any]] = [
        {"public_keys": []},
        *({"auth": AUTHS[kind], "secrets": secrets("fake-secret")} for kind in found[0].info.auth if kind in AUTHS),
        {"unverified": True, "secrets": [], "auth": None, "public_keys": []},
    ]
    for wish in wishes:
        try:
            found.append(make(name, **wish))
        except SourceProblem:
            continue
    return found


def verdict(provider: Provider, request: RawRequest, key: bytes) -> str:
    """What becomes of a request, in the order in which the intake goes about it."""
    try:
        greeting = provider.greeting(request, NOW)
        if greeting is not None:
            assert not any(mark in value for value in greeting.headers.values() for mark in "\r\n\0")
            "".join(greeting.headers.values()).encode("latin-1")
            return greeting.reason
        urls = provider.key_urls(request)
        assert all(url.startswith(("https://", "http://127.0.0.1")) for url in urls)
        provider.read(verify(provider, request, NOW, key if urls else None))
    except (Refused, Unreadable, KeyUnavailable) as error:
        return f"{type(error).__name__}: {error}"
    return "accepted"


@pytest.mark.parametrize("name", PROVIDERS)
@HOSTILE
@given(data=st.data())
def test_any_request_is_judged(name: str, data: st.DataObject) -> None:
    provider = data.draw(st.sampled_from(configured(name)))
    path = data.draw(any_path(name))
    request = RawRequest.of(
        data.draw(st.sampled_from(METHODS)), path, data.draw(any_headers(name)), data.draw(any_body(name))
    )
    assert verdict(provider, request, data.draw(KEYS))
    provider.stored_path(path).encode("utf-8", "surrogatepass")
    assert isinstance(provider.stored_body(request.body), bytes)


@pytest.mark.parametrize("name", PROVIDERS)
@HOSTILE
@given(data=st.data())
def test_any_genuine_body_is_read(name: str, data: st.DataObject) -> None:
    provider = data.draw(st.sampled_from(configured(name)))
    scheme = data.draw(st.sampled_from(["", "unverified", CASES[name].scheme, *provider.info.auth]))
    request = verified(data.draw(any_body(name)), dict(data.draw(any_headers(name))), scheme)
    try:
        notification = provider.read(request)
    except Unreadable:
        return
    assert notification.events or notification.instead
    for event in notification.events:
        assert event.id
        told = [*event.all_urls, event.id, event.key, event.bucket, event.filename, event.environment, event.locale]
        json.dumps(told, ensure_ascii=False).encode()
        assert event.occurred_at is None or event.occurred_at.tzinfo is not None


@pytest.mark.parametrize("name", PROVIDERS)
def test_any_part_of_a_document_may_be_gone_or_something_odd(name: str) -> None:
    """Not at random: each part of each of the provider's documents, one after the other."""
    provider = make(name)
    headers = dict(signed_sample(name, next(iter(type(provider).samples(NOW)))).headers)
    request = RawRequest.of("POST", PATH, headers, b"")
    for document in documents(name):
        for other in variations(document):
            body = encoded(other)
            assert verdict(provider, replace(request, body=body), b"no certificate")
            with suppress(Unreadable):
                provider.read(verified(body, headers, CASES[name].scheme))


@pytest.mark.parametrize("name", PROVIDERS)
def test_any_header_may_be_something_odd(name: str) -> None:
    """As the last test, of headers."""
    provider = make(name)
    for sample in type(provider).samples(NOW):
        request = signed_sample(name, sample)
        for header in header_values(name):
            for word in WORDS:
                other = changed(request, {header: word})
                assert verdict(provider, other, b"no certificate")
                with suppress(Unreadable):
                    provider.read(verified(other.body, dict(other.headers), CASES[name].scheme))


def token_of(name: str) -> tuple[str, str] | None:
    """The header of the default sample that carries a JSON Web Token, and the token; None where there is none."""
    request = signed_sample(name, next(iter(type(make(name)).samples(NOW))))
    for header, value in request.headers:
        if (token := value.removeprefix("Bearer ")).startswith("eyJ") and token.count(".") == 2:
            return header, token
    return None


@pytest.mark.parametrize("name", [name for name in PROVIDERS if token_of(name)])
def test_any_claim_of_a_signed_token_may_be_gone_or_something_odd(name: str) -> None:
    """Signed as the sender signs, so that it is the claims that are judged."""
    provider = make(name)
    request = signed_sample(name, next(iter(type(provider).samples(NOW))))
    header, token = token_of(name) or ("", "")
    scheme = "Bearer " if header == "authorization" else ""
    for claims in variations(dict(Token.parse(token).claims)):
        other = signed_anew(token, encoded(claims), provider)
        assert verdict(provider, changed(request, {header: scheme + other}), b"no certificate")


def signed_anew(token: str, claims: bytes, provider: Provider) -> str:
    """The token with other claims, whatever they are, and a signature that is right."""
    message = f"{token.partition('.')[0]}.{to_base64url(claims)}".encode()
    if CASES[provider.info.name].signing_key == "rsa":
        signature = rsa_signature(rsa_key(), message, "sha256")
    else:
        signature = hmac_sha256(provider.source.secrets[0].encode(), message)
    return f"{message.decode()}.{to_base64url(signature)}"


@pytest.mark.parametrize("name", PROVIDERS)
@HOSTILE
@given(data=st.data())
def test_a_signed_request_with_anything_in_it(name: str, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(sorted(type(make(name)).samples(NOW))))
    request = signed_sample(name, sample)
    provider = data.draw(st.sampled_from(configured(name)[:2]))
    headers, body = list(request.headers), request.body
    at = data.draw(st.integers(-1, len(headers) - 1))  # -1: the body
    if at >= 0:
        headers[at] = (headers[at][0], data.draw(text(name)))
    else:
        body = data.draw(any_body(name))
    assert verdict(provider, RawRequest.of(request.method, request.path, headers, body), data.draw(KEYS))


@pytest.mark.parametrize("name", [name for name in PROVIDERS if make(name).variants])
@HOSTILE
@given(data=st.data())
def test_any_url_is_spelled_in_other_ways_or_in_none(name: str, data: st.DataObject) -> None:
    url = data.draw(text(name))
    for variant in make(name).variants.values():
        assert url not in set(variant.spell(url))


@HOSTILE
@given(pem=KEYS)
def test_any_published_certificate_is_refused_or_read(pem: bytes) -> None:
    with pytest.raises(Refused) as refused:
        certificate_key(pem, NOW)
    assert refused.value.reason == "certificate_unreadable"
