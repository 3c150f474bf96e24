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
        (f'{{"secure\\u005ftoken":"{SECRET}"}}', ""),
        (f'{{"secure_token":"other",{GIVEN}}}', ""),
        (f'{{{GIVEN},"secure_token":"other"}}', "credential_mismatch"),
        (f'{{"secure_token":"{SECRET} "}}', "credential_mismatch"),
        ('{"secure_token":"\u00e9"}', "credential_mismatch"),
        ('{"secure_token":""}', "credential_missing"),
        ('{"secure_token":null}', "credential_missing"),
        ('{"secure_token":["x"]}', "credential_missing"),
        (f'{{"asset":{{{GIVEN}}}}}', "credential_missing"),
        ("{}", "credential_missing"),
        ("[]", "credential_malformed"),
        (f'"{SECRET}"', "credential_malformed"),
        ("", "credential_malformed"),
        ("{", "credential_malformed"),
        (f"{{{GIVEN}", "credential_malformed"),
        (r'{"secure_token":"\ud800"}', "credential_malformed"),
    ],
)
def test_who_gets_in(body: str, expected: str) -> None:
    assert reason(body.encode()) == expected


def test_every_secret_is_tried() -> None:
    assert reason(f"{{{GIVEN}}}".encode(), "fake-new", SECRET) == ""


@pytest.mark.parametrize(
    ("body", "stored"),
    [
        (b'{"a":"b","secure_token":"x","c":1}', b'{"a":"b","secure_token":"***","c":1}'),
        (b'{"a": 1, "secure_token": null}', b'{"a": 1, "secure_token": null}'),
        (b'{"a": 1}', b'{"a": 1}'),
        (b'[1, "secure_token"]', b'[1, "secure_token"]'),
        (b'{"secure\\u005ftoken":"x"}', b'{"secure_token":"***"}'),
        (b'{"secure_token":"x","secure_token":"y"}', b'{"secure_token":"***"}'),
        (b'{"secure_token": ["x"]}', b'{"secure_token":"***"}'),
        (b'{"secure_token" : "a\\"b", "type"', b'{"secure_token":"***", "type"'),
        (b'{"type":1,"secure_token":"cut sho', b'{"type":1,"secure_token":"***"'),
        (b'{"secure_token":"cut \\', b'{"secure_token":"***"'),
        (b"\xff", b"\xff"),
    ],
)
def test_the_secret_is_blotted_out(body: bytes, stored: bytes) -> None:
    assert provider().stored_body(body) == stored


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


@given(
    body=st.binary(max_size=40)
    | st.integers().map(lambda number: json.dumps({"n": number, "secure_token": "x"}).encode())
)
def test_any_body_may_be_kept(body: bytes) -> None:
    assert b'"secure_token":"x"' not in provider().stored_body(body)


def test_a_body_of_your_own_has_to_be_an_object() -> None:
    with pytest.raises(CommandFailed, match="goes into the body"):
        provider().sign(Sample(b"[]"), PATH, NOW)
