"""Providers of the tests: one configured source of each kind, keys, and samples signed as the vendor signs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from service.domain.events import Notification
from service.domain.requests import RawRequest, Verified
from service.domain.secret import Secret
from service.providers.base import Provider, SourceProblem
from service.providers.credentials import CAPABILITY_HEADER
from service.providers.registry import build
from service.providers.verification import verify
from service.settings.model import Auth, Hmac, Source

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
NAME = "hook"
PATH = f"/hooks/{NAME}"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:pictures"

SECRETS = {
    "hmac": "fake-hmac-secret",
    "transloadit": "fake-transloadit-auth-secret",
    "contentstack": "fake-contentstack-secret",
    "bunny-stream": "fake-bunny-read-only-key",
    "vercel-blob": "vercel_blob_rw_fakestoreid_fake",
    "ghost": "fake-ghost-secret",
    "capability-url": "fake-capability-url-secret",
    "header": "fake-header-secret",
    "bearer": "fake-bearer-secret",
    "basic": "fake-basic-secret",
    "shopify": "fake-shopify-secret",
    "cloudflare-stream": "fake-cloudflare-stream-secret",
    "filestack": "fake-filestack-secret",
    "mux": "fake-mux-secret",
    "uploadcare": "fake-uploadcare-secret",
    "slack-style": "fake-slack-secret",
    "stripe-style": "whsec_fake-stripe-secret",
    "kontent-ai": "fake-kontent-ai-secret",
    "imagekit": "whsec_fake-imagekit-secret",
    "github": "fake-github-secret",
    "hygraph": "fake-hygraph-secret",
    "storyblok": "fake-storyblok-secret",
    "contentful": "fake-contentful-secret-" + "0" * 41,
    "cloudinary": "fake-cloudinary-secret",
    "sanity": "fake-sanity-secret",
    "webflow": "fake-webflow-secret",
    "strapi": "fake-strapi-token",
    "backblaze-b2": "fake-backblaze-b2-secret",
    "ceph-rgw": "fake-ceph-password",
    "supabase-storage": "fake-supabase-secret",
    "seaweedfs": "fake-seaweedfs-token",
    "tigris": "fake-tigris-token",
    "minio": "fake-minio-token",
    "standard-webhooks": "whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2U=",
}
BASES = {"bases": {"my-bucket": "https://img.example.com/"}}
MORE: dict[str, dict[str, Any]] = {  # what a usual source has beside its secret
    "hmac": {"hmac": Hmac(header="X-Signature", signed="{timestamp}.{body}", timestamp_header="X-Time")},
    "vercel-blob": {"settle": 60.0},
    "basic": {"auth": Auth(basic="sender")},
    "header": {"auth": Auth(header="X-Relay-Key")},
    "backblaze-b2": BASES,
    "minio": BASES,
    "tigris": BASES,
    "seaweedfs": BASES,
    "supabase-storage": BASES,
    "ceph-rgw": {**BASES, "auth": Auth(basic="sender")},
}
AUTHS = {
    "basic": Auth(basic="sender"),
    "bearer": Auth(bearer=True),
    "header": Auth(header="X-Relay-Key"),
    "query": Auth(query="code"),
    "capability": Auth(capability=True),
}
PROVIDERS = (*SECRETS, "aws-sns")


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
    if provider == "aws-sns":
        usual: dict[str, Any] = {
            "topics": [TOPIC],
            "public_keys": secrets(public_pem(rsa_key())),
            "bases": {"my-bucket": "https://img.example.com/"},
        }
    else:
        usual = {"secrets": secrets(SECRETS[provider]), **MORE.get(provider, {})}
    return Source(provider=provider, **usual | settings)


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
    return private_pem(rsa_key()) if provider.info.name == "aws-sns" else None


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
