"""Sources of signed tokens on the command line: checked with their lines, sent, and explained with published keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from support.commands import TOKEN, Relay
from support.loopback import serve
from support.senders import NOW, ed25519_key, private_pem, public_pem, rsa_key
from support.tokens import GOOGLE, GOOGLE_CLAIMS, jwks, token

OVERWRITE = {"eventType": "OBJECT_FINALIZE", "bucketId": "photos", "objectId": "a.jpg", "overwroteGeneration": "1"}
PUSH = {"message": {"attributes": OVERWRITE, "data": "", "messageId": "1"}}


def write(relay: Relay, jwt: Mapping[str, Any] = GOOGLE, **more: Any) -> None:
    source = {"provider": "gcs-pubsub", "auth": {"jwt": jwt}, "bases": {"photos": "https://img.example.com/"}, **more}
    projects = {"shop": {"project": "my-shop", "token": TOKEN}}
    relay.write(json.dumps({"projects": projects, "sources": {"push": source}}))


def explained(relay: Relay, given: str, *arguments: object, code: int = 0) -> dict[str, Any]:
    bearer = ("--header", f"Authorization: Bearer {given}", "--at", NOW.isoformat(), "--json")
    done = relay.run("explain", "-", *bearer, *arguments, stdin=json.dumps(PUSH))
    assert done.code == code, done
    return dict(done.json)


def test_published_keys_are_named_and_may_be_given(bare: Relay) -> None:
    write(bare)
    (bare.folder / "keys.json").write_text(jwks())
    given = token(GOOGLE_CLAIMS)
    asked = explained(bare, given)
    assert asked["verified"] is None
    assert "https://www.googleapis.com/oauth2/v3/certs" in asked["reason"]
    found = explained(bare, given, "--key", "keys.json")
    assert (found["verified"], found["scheme"]) == (True, "jwt")
    assert [purge["src_image"] for purge in found["purges"]] == ["https://img.example.com/a.jpg"]
    for changes, reason in (({"email": "a@b"}, "token_email_mismatch"), ({"aud": "other"}, "token_audience_mismatch")):
        refused = explained(bare, token({**GOOGLE_CLAIMS, **changes}), "--key", "keys.json", code=3)
        assert refused["reason"] == reason
    unknown = explained(bare, token(GOOGLE_CLAIMS, headers={"kid": "newer"}), "--key", "keys.json", code=3)
    assert unknown["reason"] == "key_unknown"


def test_pinned_keys_need_no_network(bare: Relay) -> None:
    (bare.folder / "keys.json").write_text(jwks())
    write(bare, public_keys=[{"file": "keys.json"}])
    assert bare.run("check").code == 0
    assert explained(bare, token(GOOGLE_CLAIMS))["verified"] is True


def test_a_push_is_sent_with_a_token_of_the_key_that_is_given(bare: Relay) -> None:
    (bare.folder / "private.pem").write_bytes(private_pem(rsa_key()))
    (bare.folder / "other.pem").write_bytes(private_pem(ed25519_key()))
    write(bare, public_keys=[public_pem(rsa_key())])
    got: list[dict[str, str]] = []

    async def far(scope: Scope, receive: Receive, send: Send) -> None:
        got.append(dict(Request(scope).headers))
        await JSONResponse({"receipt": "rcp_fake", "status": "accepted"})(scope, receive, send)

    with serve(far) as address:
        assert "--signing-key" in bare.fails("send", "--url", address)
        assert "not for RS256" in bare.fails("send", "--url", address, "--signing-key", "other.pem")
        assert bare.run("send", "--url", address, "--signing-key", "private.pem").code == 0
    (headers,) = got
    bearer = ("--header", f"Authorization: {headers['authorization']}", "--json")
    assert bare.run("explain", "-", *bearer, stdin=json.dumps(PUSH)).json["verified"] is True


@pytest.mark.parametrize(
    ("jwt", "message"),
    [
        ({"isuer": "x"}, "auth.jwt.isuer: unknown key, did you mean 'issuer'?"),
        ({"email": "a@b"}, "auth.jwt: Google's tokens are not told apart without audience"),
        ({"tenant": "x", "audience": "y"}, "auth.jwt: Entra's tokens are not told apart without app_id and role"),
        ({"issuer": "a", "audience": "b", "jwks_url": "https://a.example"}, "auth.jwt: is not Google's"),
        ({**GOOGLE, "algorithms": ["RS512"]}, "auth.jwt.algorithms[0]: must be one of ES256, EdDSA, PS256, RS256"),
        ({**GOOGLE, "max_lifetime": 5}, "auth.jwt.max_lifetime: must be a number of at least 60"),
        ({**GOOGLE, "claims": {"a": ["b"]}}, "auth.jwt.claims.a: must be text"),
        (True, "auth.jwt: must be a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(bare: Relay, jwt: Any, message: str) -> None:
    write(bare, jwt)
    done = bare.run("check")
    assert done.code == 1
    assert f"relay.yaml:1: sources.push.{message}" in done.err


def test_the_url_is_the_plain_one(bare: Relay) -> None:
    write(bare)
    assert bare.run("url").out == "/hooks/push\n"
