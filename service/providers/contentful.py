"""Contentful: HMAC-SHA256 over method, path, listed headers and body; asset topics."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, refuse_stale
from service.providers.other_hosts import other_hosts
from service.providers.signatures import from_hex, hmac_sha256, matches_any, unix_time
from service.settings.model import Source

SCHEME = "contentful-v1"
SECRET_LENGTH = 64  # characters; https://www.contentful.com/developers/docs/extensibility/webhooks/secrets/

_SIGNATURE = "x-contentful-signature"
_SIGNED_HEADERS = "x-contentful-signed-headers"
_TIMESTAMP = "x-contentful-timestamp"
_TOPIC = "x-contentful-topic"
_IDEMPOTENCY_KEY = "x-contentful-idempotency-key"
_EVENT_DATETIME = "x-contentful-event-datetime"

_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 header names: no `:`, `;` or newline to forge a line with
_ENCODE_URI_COMPONENT = "-_.!~*'()"  # what JavaScript's encodeURIComponent leaves alone
_ENCODE_URI = ";/?:@&=+$,#-_.!~*'()"  # what JavaScript's encodeURI leaves alone

# https://www.contentful.com/developers/docs/webhooks/content-events/. `save` and `auto_save` change the draft: the
# published file stays as it is.
_KINDS = {
    "create": AssetKind.CREATED,
    "save": AssetKind.UNKNOWN,
    "auto_save": AssetKind.UNKNOWN,
    "publish": AssetKind.UPDATED,
    "unpublish": AssetKind.UNPUBLISHED,
    "archive": AssetKind.UNPUBLISHED,
    "unarchive": AssetKind.RESTORED,
    "delete": AssetKind.DELETED,
}
_KINDS_BY_TYPE = {"Asset": AssetKind.UPDATED, "DeletedAsset": AssetKind.DELETED}


class Contentful(Provider):
    """https://www.contentful.com/developers/docs/webhooks/request-verification/"""

    info = Info(
        name="contentful",
        title="Contentful",
        doc_url="https://www.contentful.com/developers/docs/webhooks/request-verification/",
        signs="HMAC-SHA256 over method, path, listed headers and body, with a time",
        tolerance=300,  # Contentful's own library allows 30 s, which is less than the pause before a retry
        stored_headers=frozenset(
            {
                _SIGNATURE,
                _SIGNED_HEADERS,
                _TIMESTAMP,
                _TOPIC,
                _IDEMPOTENCY_KEY,
                _EVENT_DATETIME,
                "x-contentful-crn",
                "x-contentful-webhook-name",
                "x-contentful-webhook-request-attempt",
                "content-type",
            }
        ),
        auth=("basic", "header", "capability"),
        guide=Guide(
            setup=(
                "*Settings → Webhooks → Add webhook*: URL `https://relay.example.com/hooks/NAME`, without a query; "
                "method **POST**; content type as it is.",
                "Under *Select specific triggering events*, tick **Asset**: Publish, Unpublish, Archive, Unarchive "
                "and Delete.",
                "*Webhooks → Settings*: turn request verification on. The space's one signing secret (64 "
                "characters) is one of `secrets`; for a while after a change, give both.",
            ),
            events="`Asset.publish` becomes `updated`, and `replaced` once its URL differs from the one remembered; "
            "`unpublish` and `archive` become `unpublished`, `unarchive` `restored`, `delete` `deleted`. `create` "
            "purges nothing, `save` and `auto_save` are of the draft alone and become `unknown`.",
            covered="Method, path, body, the time and the headers that the request lists as signed; a header that "
            "is not listed is not believed. Replay is bounded by the time and by Contentful's idempotency key, "
            "where that is signed.",
            retries="Two more attempts 30 s apart on 429 and 5xx, up to 99 on the Premium plan; an answer is due "
            "within 30 s. Whether a retry is signed anew, and whether a webhook is ever switched off, is unknown.",
            urls="In the payload: `fields.file.LOCALE.url` of each locale. It changes with the file, and the old "
            "one is the one remembered. Unpublishing and deleting tell the id alone: `resolve: {preset: "
            "contentful}` asks the delivery API, which knows published assets only, `contentful-management` the "
            "management API. Variant: `other-hosts` (images, assets and downloads.ctfassets.net); a site that takes "
            "`//…` as it is has the rule's `protocol-relative`.",
        ),
    )
    # https://www.contentful.com/developers/docs/references/content-management-api/#/reference/assets
    variants = other_hosts(("images.ctfassets.net", "assets.ctfassets.net", "downloads.ctfassets.net"))

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        if source.auth is None and any(len(secret.reveal()) != SECRET_LENGTH for secret in source.secrets):
            return [f"Contentful's signing secrets have {SECRET_LENGTH} characters; one of these has not"]
        return []

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        given = from_hex(request.required(_SIGNATURE), lengths=[32])
        names = _signed_names(request.required(_SIGNED_HEADERS))
        # The two are always signed; a list without them would leave the time to whoever replays the request.
        if _TIMESTAMP not in names or _SIGNED_HEADERS not in names:
            raise Refused("signed_headers_incomplete", "the timestamp or the list of signed headers is not signed")
        signed_at = unix_time(request.required(_TIMESTAMP), "ms")
        # An absent header must not count as an empty one.
        headers = {name: request.required(name, "signed_header_missing") for name in names}
        canonical = canonical_request(request.method, request.path, headers, request.body)
        expected = [hmac_sha256(secret.encode(), canonical) for secret in self.source.secrets]
        if not matches_any([given], expected):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic(SCHEME, signed_at)

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        own = {name: value for name, value in sample.headers.items() if name.startswith("x-contentful-")}
        own.pop(_SIGNATURE, None)
        own[_TIMESTAMP] = str(to_ms(now))
        own[_SIGNED_HEADERS] = ",".join(sorted({*own, _SIGNED_HEADERS}))
        canonical = canonical_request("POST", path, own, sample.body)
        own[_SIGNATURE] = hmac_sha256(self.source.secrets[0].encode(), canonical).hex()
        return Sample(sample.body, {**sample.headers, **own})

    def read(self, request: Verified) -> Notification:
        entity = json_body.parse_object(request.body)
        headers = _trusted(request)
        event_id = headers.get(_IDEMPOTENCY_KEY)
        kind = _kind(headers.get(_TOPIC), entity)
        if isinstance(kind, Ignored):
            return Notification(payload=entity, instead=kind, event_id=event_id)
        return Notification(payload=entity, events=(_asset_event(kind, entity, headers),), event_id=event_id)

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {
            "publish": _sample("publish", _sample_asset("Asset", now, _sample_fields(now)), now),
            "unpublish": _sample("unpublish", _sample_asset("DeletedAsset", now), now),
            "delete": _sample("delete", _sample_asset("DeletedAsset", now), now),
        }


def canonical_request(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The signed bytes, as `signRequest` of @contentful/node-apps-toolkit 3.16.1 builds them."""
    listed = ";".join(f"{name}:{headers[name].strip()}" for name in sorted(headers))
    head = f"{method}\n{_canonical_path(path)}\n{listed}\n"
    return head.encode(errors="surrogatepass") + body


def _canonical_path(path: str) -> str:
    """The library escapes the query as one value, then path and query again, and drops what follows a second `?`."""
    pieces = path.split("?")
    query = quote(pieces[1], safe=_ENCODE_URI_COMPONENT, errors="surrogatepass") if len(pieces) > 1 else ""
    whole = f"{pieces[0]}?{query}" if query else pieces[0]
    return quote(whole, safe=_ENCODE_URI, errors="surrogatepass")


def _signed_names(value: str) -> frozenset[str]:
    names = frozenset(name.strip().lower() for name in value.split(","))
    if not all(_TOKEN.fullmatch(name) for name in names):
        raise Refused("signed_headers_malformed", "the list of signed headers holds what is no header name")
    return names


def _trusted(request: Verified) -> Mapping[str, str]:
    """The headers that may be believed: those the signature covers, or all of them where a credential came along."""
    if request.scheme != SCHEME:
        return request.headers
    signed = {name.strip().lower() for name in request.headers.get(_SIGNED_HEADERS, "").split(",")}
    return {name: value for name, value in request.headers.items() if name in signed}


def _kind(topic: str | None, entity: dict[str, Any]) -> AssetKind | Ignored:
    if topic is None:
        entity_type = json_body.text(entity, "sys", "type")
        if entity_type is None:
            return Ignored("not about an asset: the body has no sys.type")
        return _KINDS_BY_TYPE.get(entity_type, Ignored(f"about an entity of type {entity_type}, not an asset"))
    _, _, subject = topic.partition(".")
    entity_type, _, action = subject.partition(".")
    if entity_type != "Asset":
        return Ignored(f"topic {topic} is not about an asset")
    return _KINDS.get(action, AssetKind.UNKNOWN)


def _asset_event(kind: AssetKind, entity: dict[str, Any], headers: Mapping[str, str]) -> AssetEvent:
    asset_id = json_body.text(entity, "sys", "id")
    if asset_id is None:
        raise Unreadable("the asset has no sys.id; does a webhook transformation leave it out?")
    files = {locale: file for locale, file in json_body.obj(entity, "fields", "file").items() if json_body.obj(file)}
    first = next(iter(files.values()), None)
    urls = tuple(dict.fromkeys(url for file in files.values() if (url := _absolute(json_body.text(file, "url")))))
    occurred_at = (
        json_body.moment(entity, "sys", "deletedAt")
        or json_body.moment(entity, "sys", "updatedAt")
        or json_body.moment(headers.get(_EVENT_DATETIME))
    )
    return AssetEvent(
        kind=kind,
        id=asset_id,
        urls=urls,
        filename=json_body.text(first, "fileName"),
        mime_type=json_body.text(first, "contentType"),
        environment=json_body.text(entity, "sys", "environment", "sys", "id"),
        locale=next(iter(files)) if len(files) == 1 else None,
        occurred_at=occurred_at,
        # A new file gets a new path; nothing else in the payload changes with the bytes alone.
        content_hash="\n".join(sorted(urls)) or None,
    )


def _absolute(url: str | None) -> str | None:
    """Asset URLs come without a scheme: https://www.contentful.com/developers/docs/references/content-management-api/"""
    if url is not None and url.startswith("//"):
        return f"https:{url}"
    return url if json_body.is_url(url) else None


def _sample(action: str, entity: dict[str, Any], now: datetime) -> Sample:
    headers = {
        "content-type": "application/vnd.contentful.management.v1+json",
        _TOPIC: f"ContentManagement.Asset.{action}",
        "x-contentful-webhook-name": "vercel-image-relay",
        _IDEMPOTENCY_KEY: sha256(f"{action} {iso(now)}".encode()).hexdigest(),
        _EVENT_DATETIME: iso(now),
    }
    return Sample(msgspec.json.encode(entity), headers)


def _sample_asset(entity_type: str, now: datetime, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    def link(kind: str, identity: str) -> dict[str, Any]:
        return {"sys": {"type": "Link", "linkType": kind, "id": identity}}

    sys = {
        "type": entity_type,
        "id": "5zjx3VGcI1qdQpFASzJaD1",
        "space": link("Space", "bkz6hygz9igz"),
        "environment": link("Environment", "master"),
        "revision": 7,
        "updatedAt" if fields else "deletedAt": iso(now),
    }
    return {"sys": sys, "fields": fields} if fields else {"sys": sys}


def _sample_fields(now: datetime) -> dict[str, Any]:
    folder = sha256(iso(now).encode()).hexdigest()[:32]
    url = f"//images.ctfassets.net/bkz6hygz9igz/5zjx3VGcI1qdQpFASzJaD1/{folder}/hero.jpg"
    details = {"size": 122880, "image": {"width": 1600, "height": 900}}
    file = {"url": url, "details": details, "fileName": "hero.jpg", "contentType": "image/jpeg"}
    return {"title": {"en-US": "Hero"}, "file": {"en-US": file}}
