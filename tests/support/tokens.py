"""Bearer tokens of the tests, made with PyJWT, and the key sets that go with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from service.domain.requests import RawRequest
from support.senders import NOW, PATH, ed25519_key, rsa_key

KEY_ID = "key-1"
SECONDS = int(NOW.timestamp())

GOOGLE: dict[str, Any] = {
    "audience": "https://relay.example.com/hooks/hook",
    "email": "push@relay.iam.gserviceaccount.com",
}
GOOGLE_CLAIMS = {
    "iss": "https://accounts.google.com",
    "aud": GOOGLE["audience"],
    "azp": "113774264463038321964",
    "sub": "113774264463038321964",
    "email": GOOGLE["email"],
    "email_verified": True,
    "iat": SECONDS,
    "exp": SECONDS + 3600,
}

TENANT = "11111111-2222-3333-4444-555555555555"
APP = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
ENTRA: dict[str, Any] = {"tenant": TENANT, "audience": "api://relay", "app_id": APP, "role": "Sender"}
ENTRA_CLAIMS = {
    "iss": f"https://sts.windows.net/{TENANT}/",
    "aud": "api://relay",
    "tid": TENANT,
    "appid": APP,
    "roles": ["Reader", "Sender"],
    "iat": SECONDS,
    "nbf": SECONDS,
    "exp": SECONDS + 3600,
}

ISSUER: dict[str, Any] = {"issuer": "https://issuer.example", "audience": "relay"}
ISSUER_CLAIMS = {"iss": "https://issuer.example", "aud": "relay", "iat": SECONDS, "exp": SECONDS + 300}


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def private_key(algorithm: str) -> Any:
    return {"ES256": ec_key, "EdDSA": ed25519_key}.get(algorithm, rsa_key)()


def jwk(algorithm: str = "RS256", /, **members: Any) -> dict[str, Any]:
    """The public half of the tests' key for an algorithm; a member that is None is left out."""
    kinds: Mapping[str, Any] = {"ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
    found = kinds.get(algorithm, RSAAlgorithm).to_jwk(private_key(algorithm).public_key(), as_dict=True)
    return {name: value for name, value in (found | {"kid": KEY_ID, **members}).items() if value is not None}


def jwks(*keys: Mapping[str, Any]) -> str:
    return json.dumps({"keys": list(keys or [jwk()])})


def token(
    claims: Mapping[str, Any], algorithm: str = "RS256", headers: Mapping[str, Any] | None = None, key: Any = None
) -> str:
    """A token of the tests' key; a claim or header that is None is left out."""
    said = {name: value for name, value in claims.items() if value is not None}
    described = {"kid": KEY_ID, **(headers or {})}
    described = {name: value for name, value in described.items() if value is not None}
    return jwt.encode(said, private_key(algorithm) if key is None else key, algorithm, described)


def bearing(given: str, body: bytes = b"{}", **headers: str) -> RawRequest:
    return RawRequest.of("POST", PATH, {"authorization": f"Bearer {given}", **headers}, body)
