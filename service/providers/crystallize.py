"""Crystallize: a token signed by HS256, bound to the webhook's URL and what its body says; assets as you query them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from service.domain.clock import to_ms
from service.domain.errors import Refused
from service.domain.events import AssetEvent, AssetKind, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, refuse_stale
from service.providers.image_links import image_urls
from service.providers.js_json import reserialized, stringify
from service.providers.json_web_tokens import Token, token_of_secret
from service.providers.plain_provider import body_digest, json_sample
from service.providers.registered_url import kind_of_url, registered_url
from service.providers.s3_records import Objects
from service.providers.signatures import hmac_sha256, matches_any, unix_time
from service.settings.model import Source

_SIGNATURE = "x-crystallize-signature"
_SAMPLE_LIFETIME = 1  # seconds: "the token expires the next second", the page below says


class Crystallize(Provider):
    """https://crystallize.com/docs/developer/apis/signature-verification

    The token's claim `hmac` is a digest of the URL, the method and the body as JavaScript writes it after parsing it.
    It binds the token to this webhook: audience and issuer say no more, and are not looked at.
    """

    info = Info(
        name="crystallize",
        title="Crystallize",
        doc_url="https://crystallize.com/docs/developer/apis/signature-verification",
        signs="a JWT (HS256) over URL, method and what the body says",
        tolerance=300,
        stored_headers=frozenset({"content-type"}),
        options=("registered_url", "bases", "key_encoding"),
        guide=Guide(
            setup=(
                "In Crystallize's settings add a webhook for assets: method **POST**, one event, URL "
                "`https://relay.example.com/hooks/NAME?event=updated`; for deletions a second webhook, and a second "
                "source, with `?event=deleted`.",
                "Its GraphQL query chooses the body: ask for the asset's `key` and `url`, in a field named `asset`.",
                "`registered_url`: that very URL with its query, as it is signed. `secrets`: the tenant's signature "
                "secret.",
                "Where the body has only the `key`: `bases: {TENANT: https://media.crystallize.com/TENANT/}`, or your "
                "own host.",
            ),
            events="Image, video and file created, updated, deleted, and image variant generated. The body does not "
            "say which it is: the event is what `?event=` in `registered_url` names (`created`, `updated`, `replaced`, "
            "`deleted`…), `updated` without it.",
            covered="URL, method and the values of the body, not its white space; a time of signing and an expiry, "
            "which `tolerance` prolongs. No header is covered.",
            retries="Time-out, success codes and retries are unknown, and whether a retry is signed anew: where it is "
            "not, raise `tolerance`.",
            urls="In the payload: every image URL that your query asks for; else computed from the `key`, whose first "
            "part is the tenant (`bases`).",
        ),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        self._url = registered_url(source)
        self._kind = kind_of_url(self._url) or AssetKind.UPDATED
        self._objects = Objects.of(source, "verbatim")

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        token = Token.parse(request.required(_SIGNATURE))
        if token.algorithm != "HS256":
            raise Refused("token_algorithm_refused", "the token is not signed by HS256")
        expected = [hmac_sha256(secret.encode(), token.message) for secret in self.source.secrets]
        if not matches_any([token.signature], expected):
            raise Refused("signature_mismatch")
        given = json_body.text(token.claims, "hmac") or ""
        if not matches_any([given.encode()], [self._digest(request.method, request.body).encode()]):
            raise Refused("signature_mismatch", "the token is for another URL, method or body")
        signed_at, expires_at = (unix_time(_digits(token.claims.get(name)), "s") for name in ("iat", "exp"))
        # A token says itself when it ends, after a second or later; clocks and deliveries take longer than a second.
        tolerance = timedelta(seconds=self.tolerance or 0)
        if now >= expires_at + tolerance:
            raise Refused("timestamp_too_old", f"the token expired more than {tolerance.total_seconds():.0f} s ago")
        refuse_stale(max(signed_at, now), now, self.tolerance)
        return Authentic("crystallize-jwt", signed_at)

    def _digest(self, method: str, body: bytes) -> str:
        try:
            parsed = reserialized(body)
        except ValueError as error:
            raise Refused("body_malformed", f"what is signed is JSON, and the body is not: {error}") from None
        signed = f'{{"url":{stringify(self._url)},"method":{stringify(method)},"body":{parsed}}}'
        return sha256(signed.encode()).hexdigest()

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        issued_at = to_ms(now) // 1000
        claims = {
            "aud": "webhook",
            "sub": "signature",
            "iss": "crystallize",
            "hmac": self._digest("POST", sample.body),
            "iat": issued_at,
            "exp": issued_at + _SAMPLE_LIFETIME,
        }
        token = token_of_secret(claims, self.source.secrets[0].encode())
        return Sample(sample.body, {**sample.headers, _SIGNATURE: token})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        event = self._asset_event(payload, request)
        return Notification(payload=payload, events=(event,))

    def _asset_event(self, payload: dict[str, Any], request: Verified) -> AssetEvent:
        """The asset of a body whose fields are of the operator's choice."""
        asset = json_body.obj(payload, "asset") or json_body.obj(payload, "data", "asset") or payload
        tenant, _, key = (json_body.text(asset, "key") or "").partition("/")
        occurred_at = json_body.moment(asset, "updatedAt") or request.signed_at
        found = self._objects.event(self._kind, tenant, key, occurred_at=occurred_at)
        urls = image_urls(payload) or (found.urls if found is not None else ())
        return AssetEvent(
            kind=self._kind,
            id=json_body.first_text(asset, "id", "key") or (urls[0] if urls else body_digest(request.body)),
            urls=urls,
            bucket=found.bucket if found is not None else None,
            key=found.key if found is not None else None,
            mime_type=json_body.first_text(asset, "mimeType", "contentType"),
            occurred_at=occurred_at,
        )

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        key = f"acme/images/{now:%y/%m/%d/%H%M%S}/hero.jpg"
        asset = {"key": key, "url": f"https://media.crystallize.com/{key}"}
        return {"asset": json_sample({"asset": asset})}


def _digits(value: Any) -> str:
    """A claim's whole number, as `unix_time` takes it."""
    return str(value) if isinstance(value, int) else ""
