"""Providers of the tests: one configured source of each kind, keys, and samples signed as the vendor signs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from msgspec import Struct
from msgspec.structs import replace

from service.domain.events import Notification
from service.domain.requests import RawRequest, Verified
from service.domain.secret import Secret
from service.providers.base import Provider, SourceProblem
from service.providers.credentials import CAPABILITY_HEADER
from service.providers.registry import build, provider_class
from service.providers.verification import verify
from service.settings.model import Auth, Source

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
NAME = "hook"
PATH = f"/hooks/{NAME}"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:pictures"

CASES_FOLDER = Path(__file__).parents[1] / "providers" / "cases"


class Expected(Struct, frozen=True, forbid_unknown_fields=True):
    """What a sample is read as: the kind and the beginning of the first URL of its first event, and how many there are;
    or what stands in place of events. `src_images` are what the default rule has purged for it."""

    kind: str | None = None
    url: str | None = None
    events: int = 1
    instead: str | None = None
    src_images: list[str] | None = None


class Case(Struct, frozen=True, forbid_unknown_fields=True):
    """A provider's file in tests/providers/cases.

    `source` is as in relay.yaml. With a `signing_key` its public half is the source's. `body` says whether every byte
    of the body is signed, or only what is read out of it, or nothing. `each_counts`: the same bytes sent again may be
    another event, and are taken for one. `signs_beside_auth`: `auth:` is asked for besides the signature.
    """

    source: dict[str, Any]
    scheme: str
    signed_headers: list[str]
    samples: dict[str, Expected]
    signing_key: Literal["rsa", "ed25519"] | None = None
    new_secret: str = "fake-new-secret"
    body: Literal["bytes", "fields", "unsigned"] = "bytes"
    no_time: bool = False
    no_event_id: bool = False
    no_capability: bool = False
    each_counts: bool = False
    signs_beside_auth: bool = False


CASES = {path.stem: msgspec.json.decode(path.read_bytes(), type=Case) for path in sorted(CASES_FOLDER.glob("*.json"))}
PROVIDERS = tuple(CASES)
SECRETS = {name: str(case.source["secrets"][0]) for name, case in CASES.items() if "secrets" in case.source}
AUTHS = {
    "basic": Auth(basic="sender"),
    "bearer": Auth(bearer=True),
    "header": Auth(header="X-Relay-Key"),
    "query": Auth(query="code"),
    "capability": Auth(capability=True),
}


@cache
def rsa_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ed25519_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def private_pem(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def secrets(*values: str) -> list[Secret]:
    return [Secret(value) for value in values]


def source(provider: str, **settings: Any) -> Source:
    """A usual source of this provider; `settings` replace or add to its own."""
    case = CASES[provider]
    usual = msgspec.convert(case.source | {"provider": provider}, Source, dec_hook=lambda kind, value: kind(value))
    if case.signing_key is not None and ("auth" not in settings or provider_class(provider).info.signs_beside_auth):
        usual = replace(usual, public_keys=secrets(public_pem(_key(case.signing_key))))
    return replace(usual, **settings)


def _key(kind: str) -> RSAPrivateKey | Ed25519PrivateKey:
    return rsa_key() if kind == "rsa" else ed25519_key()


def make(provider: str, **settings: Any) -> Provider:
    return build(NAME, source(provider, **settings))


def problem(provider: str, **settings: Any) -> tuple[str, str]:
    """The setting that does not suit, and why not."""
    try:
        make(provider, **settings)
    except SourceProblem as error:
        return error.key, str(error)
    raise AssertionError("the settings suit")


def signing_key(provider: Provider) -> bytes | None:
    kind = CASES[provider.info.name].signing_key
    return None if kind is None else private_pem(_key(kind))


@cache
def signed_sample(name: str, sample: str) -> RawRequest:
    """A sample of a usual source, signed once."""
    return signed(make(name), sample)


def signed(provider: Provider, sample: str | None = None, now: datetime = NOW) -> RawRequest:
    """A sample, the default one where none is named, as the vendor sends it."""
    samples = type(provider).samples(now)
    chosen = samples[sample] if sample is not None else next(iter(samples.values()))
    request = provider.sign(chosen, PATH, now, signing_key(provider))
    by_path = provider.credential is not None and provider.credential.kind == "capability"
    return with_key_of_path(request) if by_path else request


def read(provider: Provider, request: RawRequest, now: datetime = NOW) -> Notification:
    return provider.read(verify(provider, request, now))


def every_sample() -> list[tuple[str, str]]:
    """Provider and sample, by name."""
    return [(name, sample) for name in PROVIDERS for sample in type(make(name)).samples(NOW)]


def verified(body: bytes, headers: Mapping[str, str] | None = None, scheme: str = "") -> Verified:
    """A body as if it had been verified."""
    return Verified(source=NAME, scheme=scheme, headers=headers or {}, body=body, received_at=NOW)


def changed(
    request: RawRequest, headers: Mapping[str, str] | None = None, *, body: bytes | None = None, path: str | None = None
) -> RawRequest:
    """The request with headers replaced or added, or with another body or path."""
    return RawRequest.of(
        request.method,
        request.path if path is None else path,
        dict(request.headers) | dict(headers or {}),
        request.body if body is None else body,
    )


def without(request: RawRequest, name: str) -> RawRequest:
    headers = [(key, value) for key, value in request.headers if key != name]
    return RawRequest.of(request.method, request.path, headers, request.body)


def with_key_of_path(request: RawRequest) -> RawRequest:
    """As the endpoint passes a capability on: the path's last part stands in a header that no client can send."""
    return changed(request, {CAPABILITY_HEADER: request.path.partition("?")[0].rpartition("/")[2]})
