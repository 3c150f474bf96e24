"""A secret within the body: who gets in, and that it is stored nowhere."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.senders import NOW, PATH, changed, make, secrets, signed

from service.domain.errors import CommandFailed, Refused
from service.domain.requests import RawRequest
from service.providers.base import Provider, Sample
from service.providers.verification import verify

SECRET = "fake-canto-token"
GIVEN = f'"secure_token":"{SECRET}"'


def provider(*values: str) -> Provider:
    return make("canto", secrets=secrets(*values or (SECRET,)))


def reason(body: bytes, *values: str) -> str:
    try:
        verify(provider(*values), RawRequest.of("POST", PATH, {}, body), NOW)
    except Refused as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{{{GIVEN}}}", ""),
        (f'{{"id":1, "secure_token" :\n"{SECRET}"}}', ""),
        (r'{"secure_token":"\u0066ake-canto-token"}', ""),
        (f'{{"secure_token":"other",{GIVEN}}}', ""),
        (f'{{{GIVEN},"secure_token":"other"}}', "credential_mismatch"),
        (f'{{"secure_token":"{SECRET} "}}', "credential_mismatch"),
        ('{"secure_token":"\u00e9"}', "credential_mismatch"),
        (f'{{"secure\\u005ftoken":"{SECRET}"}}', "credential_malformed"),
        ('{"secure_token":""}', "credential_missing"),
        ('{"secure_token":["x"]}', "credential_missing"),
        (f'{{"asset":{{{GIVEN}}}}}', "credential_missing"),
        ("{}", "credential_missing"),
        ("[]", "credential_missing"),
        ("", "body_malformed"),
        ("{", "body_malformed"),
    ],
)
def test_who_gets_in(body: str, expected: str) -> None:
    assert reason(body.encode()) == expected


def test_every_secret_is_tried() -> None:
    assert reason(f"{{{GIVEN}}}".encode(), "fake-new", SECRET) == ""


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (f'{{"a":"b",{GIVEN},"c":1}}', '{"a":"b","secure_token":"***","c":1}'),
        (f'{{"secure_token" : "{SECRET}"}}', '{"secure_token" : "***"}'),
        (r'{"secure_token":"a\"b\\"}', '{"secure_token":"***"}'),
        (f'{{"secure_token":"{SECRET}', '{"secure_token":"***"'),
        ('{"secure_token":null}', '{"secure_token":null}'),
        ('{"a":1}', '{"a":1}'),
    ],
)
def test_the_secret_is_blotted_out(body: str, stored: str) -> None:
    assert provider().stored_body(body.encode()).decode() == stored


def test_what_was_verified_goes_on_without_the_secret() -> None:
    request = signed(provider())
    assert SECRET.encode() in request.body
    assert SECRET.encode() not in verify(provider(), request, NOW).body
    assert SECRET.encode() not in provider().stored_body(changed(request, body=request.body[:-2]).body)


@given(st.text(min_size=1))
def test_any_secret_gets_in_and_is_blotted_out(secret: str) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"id": 1, "secure_token": secret}, ensure_ascii=ascii_only).encode()
        assert reason(body, secret) == ""
        assert json.loads(provider().stored_body(body)) == {"id": 1, "secure_token": "***"}


@given(st.binary(max_size=60))
def test_any_bytes_are_stored_somehow(body: bytes) -> None:
    assert isinstance(provider().stored_body(body), bytes)


def test_a_body_of_your_own_has_to_be_an_object() -> None:
    with pytest.raises(CommandFailed, match="goes into the body"):
        provider().sign(Sample(b"[]"), PATH, NOW)
