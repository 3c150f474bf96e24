"""Contentstack: HMAC-SHA256 over time and body, or RSA-PSS over the body; assets, and releases of them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from service.domain.errors import CommandFailed, KeyUnknown, Refused, Unreadable
from service.domain.events import AssetEvent, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem, refuse_stale
from service.providers.contentstack_assets import read_events, sample_event
from service.providers.keys import pinned_rsa_keys, published_rsa_keys, rsa_private_key
from service.providers.other_hosts import other_hosts
from service.providers.signatures import from_base64, rsa_pss_signature, rsa_pss_verifies
from service.providers.timed_signature import TimedSignature
from service.settings.model import Source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_RSA_SIGNATURE = "x-contentstack-request-signature"
_HMAC_SIGNATURE = "x-contentstack-hmac-signature"
# While a secret is rotated the header has two digests, and either will do: see "HMAC Signature" on the page below.
_HMAC = TimedSignature(_HMAC_SIGNATURE)
# Every region has its own key: https://www.contentstack.com/docs/headless-cms/secure-your-webhooks
_APP_HOSTS = {
    "na": "app",
    "eu": "eu-app",
    "au": "au-app",
    "azure-na": "azure-na-app",
    "azure-eu": "azure-eu-app",
    "gcp-na": "gcp-na-app",
    "gcp-eu": "gcp-eu-app",
}
_MAX_SIGNATURES = 8  # in one header, as each costs an RSA operation


class Contentstack(Provider):
    """https://www.contentstack.com/docs/headless-cms/secure-your-webhooks

    All stacks of a region are signed for with the same RSA key, so `project_id`, the stack's API key, says which may
    speak. The key is fetched from the host of `region`, or pinned with `public_keys`.
    """

    info = Info(
        name="contentstack",
        title="Contentstack",
        doc_url="https://www.contentstack.com/docs/headless-cms/secure-your-webhooks",
        signs="HMAC-SHA256 over time and body, or RSA-PSS over the body with the region's key",
        # The last retry comes 13 minutes after the first attempt, which may have taken half a minute itself:
        # https://www.contentstack.com/docs/developers/set-up-webhooks/webhook-retry-policy
        tolerance=1200,
        stored_headers=frozenset({_RSA_SIGNATURE, _HMAC_SIGNATURE, "content-type"}),
        auth=("basic", "bearer", "header", "capability"),
        options=("public_keys", "project_id", "region"),
        needs_secret=False,
        guide=Guide(
            setup=(
                "*Settings → Webhooks → New webhook*: URL to notify `https://relay.example.com/hooks/NAME`.",
                "Trigger conditions: **Assets**, with create, update, delete, publish and unpublish; for releases "
                "also **Release → deploy**.",
                "Signing method: *HMAC*, and its secret is one of `secrets`; or the usual one by RSA, with the "
                "stack's `region` and its API key as `project_id`.",
            ),
            events="`publish` and `update` become `updated`, and `replaced` once the URL differs from the one "
            "remembered; `unpublish`, `delete` and `create` are what they say. `.start` and `.fail` change nothing; "
            "a release has one event for each of its assets.",
            covered="HMAC: the body and the time. RSA: the body, in which `triggered_at` is the time; every stack "
            "of a region is signed for with the same key, which is why `project_id` is asked for. There is no id of "
            "the event.",
            retries="An answer is due within 30 s; anything but 2xx is tried four more times within 13 minutes. "
            "After ten failures (5xx, 401, time-outs) Contentstack **disables the webhook**.",
            urls="In the payload: `data.asset.url`. A new file has a new URL, and the old one is the one "
            "remembered; a *permanent URL* stays, and needs a rule. A release tells ids alone. Variant: "
            "`other-hosts` (images.contentstack.io and assets.contentstack.io).",
        ),
    )
    # https://www.contentstack.com/docs/content-managers/working-with-assets/understanding-asset-url
    variants = other_hosts(("images.contentstack.io", "assets.contentstack.io"))

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        _check_settings(source)
        self._public_keys = pinned_rsa_keys(source)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        found = self._by_hmac(request, now) if self._hmac_decides(request) else self._by_rsa(request, now, key)
        stack = self.source.project_id
        if stack is not None and json_body.text(_peeked(request.body), "api_key") != stack:
            raise Refused("stack_not_allowed", "the webhook is signed, and is another stack's")
        return found

    def key_urls(self, request: RawRequest) -> tuple[str, ...]:
        region = self.source.region
        if region is None or self._hmac_decides(request):
            return ()
        return (f"https://{_APP_HOSTS[region]}.contentstack.com/.well-known/public-keys.json",)

    def _hmac_decides(self, request: RawRequest) -> bool:
        knows_keys = bool(self._public_keys) or self.source.region is not None
        return not knows_keys or (bool(self.source.secrets) and request.header(_HMAC_SIGNATURE) is not None)

    def _by_hmac(self, request: RawRequest, now: datetime) -> Authentic:
        return Authentic("contentstack-hmac", _HMAC.verify(request, self.source.secrets, now, self.tolerance))

    def _by_rsa(self, request: RawRequest, now: datetime, published: bytes | None) -> Authentic:
        given = _rsa_signatures(request.required(_RSA_SIGNATURE))
        keys = self._public_keys or _published_keys(published)
        if not any(rsa_pss_verifies(key, one, request.body) for key in keys for one in given):
            if self._public_keys:
                raise Refused("signature_mismatch")
            # Keys have no ids here: what an old one does not verify may be the first that a new one signed.
            raise KeyUnknown("the region's key, as far as it is known, did not sign this")
        # The signed body has the time. Nobody can take it out, so where there is none Contentstack has sent none.
        signed_at = json_body.moment(_peeked(request.body), "triggered_at")
        if signed_at is not None:
            refuse_stale(signed_at, now, self.tolerance)
        return Authentic("contentstack-rsa", signed_at)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        if signing_key is not None:
            signature = rsa_pss_signature(rsa_private_key(signing_key), sample.body)
            signed = {_RSA_SIGNATURE: f"v1={base64.b64encode(signature).decode()}"}
        elif self.source.secrets:
            signed = {_HMAC_SIGNATURE: _HMAC.value(sample.body, self.source.secrets[0], now)}
        else:
            raise CommandFailed("this source knows public keys alone: give a private one (PEM) with --signing-key")
        return Sample(sample.body, {**sample.headers, **signed})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        found = list(read_events(payload, request.signed_at))
        events = tuple(one for one in found if isinstance(one, AssetEvent))
        instead = next((one for one in found if isinstance(one, Ignored)), None)
        return Notification(payload=payload, events=events, instead=None if events else instead)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {event: sample_event(event, now) for event in ("publish", "unpublish", "delete")}


def _check_settings(source: Source) -> None:
    """Raises SourceProblem where settings of signatures are missing or contradict each other."""
    if source.auth is not None or source.unverified:
        for option in ("project_id", "region"):
            if getattr(source, option) is not None:
                raise SourceProblem(option, "no signature is looked at, so this would do nothing")
        return
    if source.region is not None and source.region not in _APP_HOSTS:
        raise SourceProblem("region", f"{source.region!r} is none of {', '.join(_APP_HOSTS)}")
    if source.region is not None and source.public_keys:
        raise SourceProblem("region", "with `public_keys` no key is fetched, so this would do nothing")
    if source.project_id is None and (source.public_keys or source.region is not None):
        raise SourceProblem("project_id", "the key signs for every stack of the region: give your stack's API key here")
    if not source.secrets and not source.public_keys and source.region is None:
        raise SourceProblem("secrets", "Contentstack signs its webhooks: give the signing secret here, or `region`")


@lru_cache(maxsize=8)
def _published_keys(published: bytes | None) -> list[RSAPublicKey]:
    """`{"signing-key": PEM}`, parsed once while it stays the same; raises Refused."""
    try:
        return published_rsa_keys(json_body.text(json_body.parse(published or b"{}"), "signing-key"))
    except Unreadable as error:
        raise Refused("key_unreadable", f"what the region publishes is no key: {error}") from None


def _rsa_signatures(value: str) -> list[bytes]:
    """The header's `v1=` values; base64 has padding of its own, so that only the first `=` parts."""
    entries = [entry.strip() for entry in value.split(",")]
    found = [from_base64(entry.removeprefix("v1=")) for entry in entries if entry.startswith("v1=")]
    if not found or len(found) > _MAX_SIGNATURES:
        raise Refused("signature_malformed", f"{_RSA_SIGNATURE} is not v1=…")
    return found


def _peeked(body: bytes) -> Any:
    """The signed body, None where it is no JSON: `read` says so in its turn."""
    try:
        return json_body.parse(body)
    except Unreadable:
        return None
