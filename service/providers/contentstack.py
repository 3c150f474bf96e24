"""Contentstack: HMAC-SHA256 over time and body, or RSA-PSS over the body; assets, and releases of them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from service.domain.clock import iso
from service.domain.errors import CommandFailed, Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Info, Provider, Sample, SourceProblem, refuse_stale
from service.providers.keys import pinned_rsa_keys, rsa_private_key
from service.providers.signatures import from_base64, rsa_pss_signature, rsa_pss_verifies
from service.providers.timed_signature import TimedSignature
from service.settings.model import Source

_RSA_SIGNATURE = "x-contentstack-request-signature"
_HMAC_SIGNATURE = "x-contentstack-hmac-signature"
# While a secret is rotated the header has two digests, and either will do: see "HMAC Signature" on the page below.
_HMAC = TimedSignature(_HMAC_SIGNATURE)
_MAX_SIGNATURES = 8  # in one header, as each costs an RSA operation

# https://www.contentstack.com/docs/headless-cms/webhook-data-format
_KINDS = {
    "create": AssetKind.CREATED,
    "update": AssetKind.UPDATED,
    "publish": AssetKind.UPDATED,
    "unpublish": AssetKind.UNPUBLISHED,
    "delete": AssetKind.DELETED,
}
_UNDONE = ("start", "fail")  # `publish.start`, `unpublish.fail` and the like change nothing
_ASSET_TYPE = "built_io_upload"  # the content type of a release's items that are assets


class Contentstack(Provider):
    """https://www.contentstack.com/docs/headless-cms/secure-your-webhooks

    All stacks of a region are signed for with the same RSA key, so `project_id`, the stack's API key, says which may
    speak; the key is that of https://app.contentstack.com/.well-known/public-keys.json, or of your region's host.
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
        options=("public_keys", "project_id"),
    )

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if source.project_id is not None and source.auth is not None:
            raise SourceProblem("project_id", "with `auth:` no signature is looked at, so this would do nothing")
        if source.project_id is None and source.public_keys:
            raise SourceProblem(
                "project_id", "the key signs for every stack of the region: give your stack's API key here"
            )
        self._public_keys = pinned_rsa_keys(source)

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        by_hmac = not self._public_keys or (self.source.secrets and request.header(_HMAC_SIGNATURE) is not None)
        found = self._by_hmac(request, now) if by_hmac else self._by_rsa(request, now)
        stack = self.source.project_id
        if stack is not None and json_body.text(_peeked(request.body), "api_key") != stack:
            raise Refused("stack_not_allowed", "the webhook is signed, and is another stack's")
        return found

    def _by_hmac(self, request: RawRequest, now: datetime) -> Authentic:
        return Authentic("contentstack-hmac", _HMAC.verify(request, self.source.secrets, now, self.tolerance))

    def _by_rsa(self, request: RawRequest, now: datetime) -> Authentic:
        given = _rsa_signatures(request.required(_RSA_SIGNATURE))
        if not any(rsa_pss_verifies(key, one, request.body) for key in self._public_keys for one in given):
            raise Refused("signature_mismatch")
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
        found = list(_found(payload, request.signed_at))
        events = tuple(one for one in found if isinstance(one, AssetEvent))
        instead = next((one for one in found if isinstance(one, Ignored)), None)
        return Notification(payload=payload, events=events, instead=None if events else instead)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {event: _sample(event, now) for event in ("publish", "unpublish", "delete")}


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


def _found(payload: dict[str, Any], signed_at: datetime | None) -> Iterator[AssetEvent | Ignored]:
    """The events of a webhook, with the reason why there is none at the end."""
    module, event_name = (json_body.text(payload, key) or "" for key in ("module", "event"))
    occurred_at = json_body.moment(payload, "triggered_at") or signed_at
    action, _, outcome = event_name.partition(".")
    if module == "release":
        yield from _release_events(json_body.obj(payload, "data"), occurred_at)
        yield Ignored(f"release {event_name} has no asset among its items")
    elif module != "asset":
        yield Ignored(f"about the module {module}, not asset")
    elif outcome in _UNDONE:
        yield Ignored(f"{event_name} changes nothing")
    else:
        yield _asset_event(_KINDS.get(action, AssetKind.UNKNOWN), payload, occurred_at)


def _asset_event(kind: AssetKind, payload: dict[str, Any], occurred_at: datetime | None) -> AssetEvent | Ignored:
    """Only publishing names an environment: with it in the event, a deletion would not find what was remembered."""
    asset = json_body.obj(payload, "data", "asset")
    asset_id = json_body.text(asset, "uid")
    if asset_id is None:
        raise Unreadable("the asset has no data.asset.uid")
    if asset.get("is_dir") is True:
        return Ignored("about a folder")
    url = json_body.text(asset, "url")
    return AssetEvent(
        kind=kind,
        id=asset_id,
        urls=(url,) if url is not None and json_body.is_url(url) else (),
        filename=json_body.text(asset, "filename"),
        mime_type=json_body.text(asset, "content_type"),
        locale=json_body.text(payload, "data", "locale"),
        occurred_at=occurred_at,
    )


def _release_events(data: dict[str, Any], occurred_at: datetime | None) -> Iterator[AssetEvent]:
    """A release tells of its assets by id alone."""
    for item in json_body.array(data, "release", "items") or json_body.array(data, "items"):
        asset_id = json_body.text(item, "uid")
        if json_body.text(item, "content_type_uid") == _ASSET_TYPE and asset_id is not None:
            kind = _KINDS.get(json_body.text(item, "action") or "", AssetKind.UPDATED)
            locale = json_body.text(item, "locale")
            yield AssetEvent(kind=kind, id=asset_id, locale=locale, occurred_at=occurred_at)


def _sample(event_name: str, now: datetime) -> Sample:
    stack, asset, file = "blt0000000000000022", "blt0000000000000011", sha256(iso(now).encode()).hexdigest()[:24]
    body = {
        "triggered_at": iso(now),
        "module": "asset",
        "api_key": stack,
        "event": event_name,
        "data": {
            "asset": {
                "uid": asset,
                "filename": "hero.jpg",
                "content_type": "image/jpeg",
                "url": f"https://images.contentstack.io/v3/assets/{stack}/{asset}/{file}/hero.jpg",
                "is_dir": False,
                "_version": 2,
            },
            "locale": "en-us",
        },
    }
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})
