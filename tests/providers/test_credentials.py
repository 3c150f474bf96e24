"""Static credentials: each kind taken, refused for its own reason, and kept out of what is stored."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from support.senders import AUTHS, NAME, NOW, PATH

from service.domain.errors import Refused
from service.domain.requests import RawRequest
from service.domain.secret import Secret
from service.providers.base import SourceProblem
from service.providers.credentials import CAPABILITY_HEADER, StaticCredential, auth_kind, make_capability
from service.providers.registry import build
from service.settings.model import Auth, Jwt, Source

NEW, OLD = "fake-new-pässword", "fake-old"


def credential(kind: str, *values: str, name: str = NAME) -> StaticCredential:
    source = Source(provider="x", auth=AUTHS[kind], secrets=[Secret(value) for value in values or (NEW, OLD)])
    found = StaticCredential.of(name, source)
    assert found is not None
    return found


def reason(which: StaticCredential, request: RawRequest) -> str:
    try:
        assert which.verify(request).scheme == which.kind
    except Refused as error:
        return error.reason
    return ""


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def latin1(text: str) -> str:
    """A header's value as it arrives: its bytes as latin-1 text."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize(
    ("kind", "headers", "expected"),
    [
        ("header", {"X-Relay-Key": latin1(NEW)}, ""),
        ("header", {"x-relay-key": OLD}, ""),
        ("header", {"x-relay-key": "wrong"}, "credential_mismatch"),
        ("header", {"x-relay-key": ""}, "credential_mismatch"),
        ("header", {"x-relay-key": "\ud800"}, "header_malformed"),
        ("header", {}, "credential_missing"),
        ("bearer", {"authorization": f"Bearer {latin1(NEW)}"}, ""),
        ("bearer", {"authorization": f"bearer  {OLD} "}, ""),
        ("bearer", {"authorization": "Bearer wrong"}, "credential_mismatch"),
        ("bearer", {"authorization": "Bearer"}, "credential_mismatch"),
        ("bearer", {"authorization": f"Basic {OLD}"}, "credential_malformed"),
        ("bearer", {}, "credential_missing"),
        ("basic", {"authorization": basic("sender", NEW)}, ""),
        ("basic", {"authorization": basic("sender", OLD)}, ""),
        ("basic", {"authorization": basic("sender", "wrong")}, "credential_mismatch"),
        ("basic", {"authorization": basic("other", OLD)}, "credential_mismatch"),
        ("basic", {"authorization": basic("sender", f"{OLD}:")}, "credential_mismatch"),
        ("basic", {"authorization": "Basic !"}, "credential_malformed"),
        ("basic", {"authorization": "Basic c2VuZGVy"}, "credential_malformed"),
        ("basic", {"authorization": f"Bearer {OLD}"}, "credential_malformed"),
        ("basic", {}, "credential_missing"),
        ("capability", {CAPABILITY_HEADER: make_capability(NAME, [NEW, OLD])}, ""),
        ("capability", {CAPABILITY_HEADER: make_capability(NAME, [OLD])}, ""),
        ("capability", {CAPABILITY_HEADER: make_capability(NAME, ["rotated away"])}, "capability_invalid"),
        ("capability", {CAPABILITY_HEADER: make_capability("other", [NEW])}, "capability_for_another_source"),
        ("capability", {CAPABILITY_HEADER: make_capability(NAME, [NEW])[:-1]}, "capability_invalid"),
        ("capability", {CAPABILITY_HEADER: f"{make_capability(NAME, [NEW])}A"}, "capability_invalid"),
        ("capability", {CAPABILITY_HEADER: NEW.encode().decode("latin-1")}, "capability_invalid"),
        ("capability", {CAPABILITY_HEADER: ""}, "capability_invalid"),
        ("capability", {}, "credential_missing"),
    ],
)
def test_credentials_in_headers(kind: str, headers: Mapping[str, str], expected: str) -> None:
    assert reason(credential(kind), RawRequest.of("POST", PATH, headers, b"")) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?code=fake-old", ""),
        ("?a=b&code=fake-new-p%C3%A4ssword&c", ""),
        ("?code=wrong", "credential_mismatch"),
        ("?code=", "credential_mismatch"),
        ("?code=fake-old&code=fake-old", "credential_repeated"),
        ("?code=wrong&code=fake-old", "credential_repeated"),
        ("?Code=fake-old", "credential_missing"),
        ("?", "credential_missing"),
        ("", "credential_missing"),
        ("?code=%ff", "credential_mismatch"),
        ("?code=\ud800", "credential_mismatch"),
    ],
)
def test_credentials_in_the_query(query: str, expected: str) -> None:
    assert reason(credential("query"), RawRequest.of("POST", PATH + query, {}, b"")) == expected


@pytest.mark.parametrize("kind", ["header", "bearer", "basic"])
def test_a_repeated_header_has_no_one_meaning(kind: str) -> None:
    path, headers = credential(kind).applied(PATH)
    request = RawRequest.of("POST", path, [*headers.items(), *headers.items()], b"")
    assert reason(credential(kind), request) == "header_repeated"


@pytest.mark.parametrize("kind", ["header", "bearer", "basic", "query"])
def test_what_a_sender_would_send_is_taken(kind: str) -> None:
    path, headers = credential(kind).applied(f"{PATH}?a=b")
    assert reason(credential(kind), RawRequest.of("POST", path, headers, b"")) == ""


@pytest.mark.parametrize("kind", AUTHS)
def test_a_credential_does_not_show_its_secrets(kind: str) -> None:
    assert "fake-old" not in repr(credential(kind))


def test_a_capability_stands_at_the_end_of_the_path() -> None:
    path, headers = credential("capability").applied(PATH)
    assert (path, headers) == (f"{PATH}/{make_capability(NAME, [NEW, OLD])}", {})


@pytest.mark.parametrize(
    ("kind", "path", "stored"),
    [
        ("header", f"{PATH}?code=x", f"{PATH}?code=x"),
        ("query", PATH, PATH),
        ("query", f"{PATH}?a=b&code=x&code=y&%63ode=z&co+de=1&c", f"{PATH}?a=b&code=***&code=***&%63ode=***&co+de=1&c"),
        ("capability", f"{PATH}/SECRET", f"{PATH}/***"),
        ("capability", f"{PATH}/SECRET?a=b", f"{PATH}/***?a=b"),
    ],
)
def test_a_stored_path_has_no_credential(kind: str, path: str, stored: str) -> None:
    assert credential(kind).without_secret(path) == stored


@pytest.mark.parametrize(
    ("kind", "challenge"),
    [
        ("basic", 'Basic realm="vercel-image-relay"'),
        ("bearer", "Bearer"),
        ("header", None),
        ("query", None),
        ("capability", None),
    ],
)
def test_what_a_refusal_asks_for(kind: str, challenge: str | None) -> None:
    assert credential(kind).challenge == challenge


def test_a_token_is_no_value_of_a_secret() -> None:
    source = Source(provider="jwt", auth=Auth(jwt=Jwt(audience="a")), secrets=[Secret("fake")])
    assert StaticCredential.of(NAME, source) is None


@pytest.mark.parametrize("auth", [Auth(), Auth(header="a", query="b"), Auth(basic="a", capability=True)])
def test_exactly_one_scheme_is_chosen(auth: Auth) -> None:
    with pytest.raises(ValueError, match="give exactly one of header, query, basic, bearer, capability, jwt"):
        auth_kind(auth)
    with pytest.raises(SourceProblem) as found:
        build(NAME, Source(provider="sanity", auth=auth, secrets=[Secret("fake")]))
    assert found.value.key == "auth"


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        (Auth(header="X Relay Key"), "'X Relay Key' is no header's name"),
        (Auth(header="X-Relay-Key:"), "'X-Relay-Key:' is no header's name"),
        (Auth(header="Schlüssel"), "'Schlüssel' is no header's name"),
        (Auth(basic="a:b"), "a user name for HTTP Basic has no colon"),
    ],
)
def test_what_no_request_can_carry_is_a_problem(auth: Auth, message: str) -> None:
    with pytest.raises(SourceProblem) as found:
        build(NAME, Source(provider="contentful", auth=auth, secrets=[Secret("fake")]))
    assert (found.value.key, str(found.value)) == ("auth", message)


def test_a_source_without_auth_has_no_credential() -> None:
    assert StaticCredential.of(NAME, Source(provider="x")) is None


def test_the_time_of_the_request_does_not_matter() -> None:
    provider = build(NAME, Source(provider="sanity", auth=AUTHS["header"], secrets=[Secret(OLD)]))
    request = RawRequest.of("POST", PATH, {"x-relay-key": OLD}, b"{}")
    assert provider.verify(request, NOW).signed_at is None
    assert provider.stored_path(f"{PATH}?x=1") == f"{PATH}?x=1"
