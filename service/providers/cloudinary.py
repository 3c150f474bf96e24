"""Cloudinary: a plain digest over body, time and API secret; upload, rename, delete and restore."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec

from service.domain.clock import iso, to_ms
from service.domain.cloudinary_urls import with_version, without_version
from service.domain.errors import Refused, Unreadable
from service.domain.events import AssetEvent, AssetKind, Ignored, Notification
from service.domain.requests import Authentic, RawRequest, Verified
from service.domain.variants import Variant
from service.providers import json_body
from service.providers.base import Guide, Info, Provider, Sample, SourceProblem, refuse_stale
from service.providers.signatures import HashName, digest, from_hex, matches_any, unix_time
from service.settings.model import Source

_SIGNATURE = "x-cld-signature"
_TIMESTAMP = "x-cld-timestamp"

_CLOUD_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_LENGTHS: Mapping[HashName, int] = {"sha1": 20, "sha256": 32}
_SAME_MOMENT = timedelta(seconds=5)

# https://cloudinary.com/documentation/notifications. What only changes tags, context, folders or derived files leaves
# the delivered image alone and is left out. What moderation or access control decided is up to the rules.
_KINDS = {
    "delete": AssetKind.DELETED,
    "delete_by_token": AssetKind.DELETED,
    "restore_asset_version": AssetKind.RESTORED,
    "publish": AssetKind.UPDATED,
    "moderation": AssetKind.UNKNOWN,
    "access_control_changed": AssetKind.UNKNOWN,
}
_RENAMES = frozenset({"rename", "move", "move_or_rename_asset_folder"})


def _without_version(url: str) -> Iterator[str]:
    if (other := without_version(url)) != url:
        yield other


def _version_1(url: str) -> Iterator[str]:
    """https://cloudinary.com/documentation/image_delivery_options (`force_version`)"""
    if (other := with_version(url, 1)) != url:
        yield other


_VARIANTS = {
    "without-version": Variant("without `v…`, as a site may write it", _without_version),
    "version-1": Variant("with `v1`, which Cloudinary's SDKs put before a folder", _version_1),
}


class Cloudinary(Provider):
    """https://cloudinary.com/documentation/notification_signatures"""

    info = Info(
        name="cloudinary",
        title="Cloudinary",
        doc_url="https://cloudinary.com/documentation/notification_signatures",
        signs="SHA-1 or SHA-256 over body, time and the API secret",
        tolerance=7200,  # as in Cloudinary's SDKs, which retry for some minutes and sign once
        stored_headers=frozenset({_SIGNATURE, _TIMESTAMP, "content-type"}),
        auth=("capability",),
        options=("signature_algorithm", "cloud_name"),
        guide=Guide(
            setup=(
                "*Settings → Webhook notifications → Add notification URL*: `https://relay.example.com/hooks/NAME`.",
                "Types: upload, delete, rename, move, restore, publish; moderation and access control where rules "
                "look at them.",
                "`secrets`: the API secret of the key that signs notifications. `cloud_name` makes URLs for "
                "deletions and renames, which have none.",
            ),
            events="`upload` becomes `replaced` with `overwritten`, `created` for a first one, `updated` where "
            "neither is told; `rename` and `move` become `renamed` with both names, `delete` `deleted` (many assets "
            "at once), `restore_asset_version` `restored`, `publish` `updated`.",
            covered="The body and the time; the body's own `signature` is something else and not looked at. "
            "Signatures are plain digests, SHA-1 unless the account says SHA-256: `signature_algorithm: sha256` "
            "insists.",
            retries="Three more attempts after 3, 6 and 9 minutes, as others report; answered 200. Time-out and "
            "whether it switches itself off is unknown. A `notification_url` within an upload call takes the place "
            "of this one.",
            urls="In the payload: `secure_url`, or computed from `cloud_name`, public id, version and format. The "
            "version changes with every upload and a site may leave it out: variants `without-version` and "
            "`version-1`. Transformations are up to a rule's template.",
        ),
    )
    variants = _VARIANTS

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if source.cloud_name is not None and not _CLOUD_NAME.fullmatch(source.cloud_name):
            raise SourceProblem("cloud_name", "a cloud name has letters, digits, `-` and `_` alone")
        pinned = source.signature_algorithm
        self._lengths = [_LENGTHS[pinned]] if pinned else list(_LENGTHS.values())

    def verify_signature(self, request: RawRequest, now: datetime, key: bytes | None) -> Authentic:
        # The header does not name the algorithm: the length of the digest does.
        given = from_hex(request.required(_SIGNATURE), self._lengths)
        algorithm: HashName = "sha1" if len(given) == _LENGTHS["sha1"] else "sha256"
        timestamp = request.required(_TIMESTAMP)
        signed_at = unix_time(timestamp, "s")
        if not matches_any([given], self._digests(algorithm, request.body, timestamp)):
            raise Refused("signature_mismatch")
        refuse_stale(signed_at, now, self.tolerance)
        return Authentic(f"cloudinary-{algorithm}", signed_at)

    def _digests(self, algorithm: HashName, body: bytes, timestamp: str) -> list[bytes]:
        return [digest(algorithm, body + timestamp.encode() + secret.encode()) for secret in self.source.secrets]

    def signed(self, sample: Sample, path: str, now: datetime, signing_key: bytes | None) -> Sample:
        timestamp = str(to_ms(now) // 1000)
        algorithm = self.source.signature_algorithm or "sha1"
        signature = self._digests(algorithm, sample.body, timestamp)[0]
        return Sample(sample.body, {**sample.headers, _TIMESTAMP: timestamp, _SIGNATURE: signature.hex()})

    def read(self, request: Verified) -> Notification:
        payload = json_body.parse_object(request.body)
        kind = json_body.text(payload, "notification_type")
        if kind is None:
            raise Unreadable("the notification has no notification_type")
        events = tuple(_Reader(kind, payload, self.source.cloud_name).events())
        instead = None if events else Ignored(f"a {kind} notification changes no image's delivery")
        return Notification(payload=payload, events=events, instead=instead, event_id=_event_id(kind, payload, events))

    @classmethod
    def samples(cls, now: datetime) -> Mapping[str, Sample]:
        return {"overwrite": _sample_overwrite(now), "rename": _sample_rename(now), "delete": _sample_delete(now)}


class _Reader:
    """One notification's asset events."""

    def __init__(self, kind: str, payload: dict[str, Any], cloud_name: str | None) -> None:
        self._kind = kind
        self._payload = payload
        self._cloud_name = cloud_name

    def events(self) -> Iterator[AssetEvent]:
        for resource in self._resources():
            public_id = json_body.text(resource, "public_id") or json_body.text(resource, "to_public_id")
            if json_body.text(resource, "resource_type") in (None, "image") and public_id is not None:
                yield from self._of(resource, public_id)

    def _resources(self) -> Iterator[Any]:
        """The assets a notification lists; one that lists none is about one asset, described at the top level."""
        listed = json_body.dig(self._payload, "resources")
        if isinstance(listed, list):
            yield from listed
        elif isinstance(listed, dict):  # `move` lists them by public id
            for public_id, resource in listed.items():
                yield {"public_id": public_id} | json_body.obj(resource)
        else:
            yield self._payload

    def _of(self, resource: Any, public_id: str) -> Iterator[AssetEvent]:
        if self._kind == "upload":
            yield self._event(_upload_kind(resource, self._triggered_at()), resource, public_id)
        elif self._kind in _RENAMES:
            source = json_body.text(resource, "from_public_id")
            target = json_body.text(resource, "to_public_id") or public_id
            if source is not None and source != target:
                yield self._event(AssetKind.RENAMED, resource, target, source)
        elif self._kind in _KINDS:
            yield self._event(_KINDS[self._kind], resource, public_id)

    def _event(self, kind: AssetKind, resource: Any, public_id: str, earlier_id: str | None = None) -> AssetEvent:
        url = self._url(resource, public_id)
        return AssetEvent(
            kind=kind,
            id=json_body.text(resource, "asset_id") or _path_id(resource, public_id),
            urls=(url,) if url else (),
            earlier_urls=self._earlier_urls(resource, url, public_id, earlier_id) if earlier_id else (),
            filename=json_body.first_text(resource, "original_filename", "display_name"),
            occurred_at=self._triggered_at(),
            content_hash=json_body.text(resource, "etag") or json_body.scalar(resource, "version"),
        )

    def _triggered_at(self) -> datetime | None:
        context = json_body.moment(self._payload, "notification_context", "triggered_at")
        return context or json_body.moment(self._payload, "timestamp")

    def _url(self, resource: Any, public_id: str) -> str | None:
        given = json_body.text(resource, "secure_url")
        if json_body.is_url(given):
            return given
        return self._built(resource, public_id)

    def _earlier_urls(self, resource: Any, url: str | None, public_id: str, earlier_id: str) -> tuple[str, ...]:
        """The old name's URLs, with and without version: a rename does not say which version the old URL had."""
        earlier = _with_public_id(url, public_id, earlier_id) or self._built(resource, earlier_id)
        return tuple(dict.fromkeys((earlier, without_version(earlier)))) if earlier else ()

    def _built(self, resource: Any, public_id: str) -> str | None:
        """https://cloudinary.com/documentation/image_transformations#transformation_url_structure"""
        if self._cloud_name is None:
            return None
        delivery = json_body.text(resource, "type") or "upload"
        version = json_body.scalar(resource, "version")
        extension = json_body.text(resource, "format")
        path = [self._cloud_name, "image", delivery, *([f"v{version}"] if version else []), public_id]
        url = "https://res.cloudinary.com/" + "/".join(_escaped(part) for part in path)
        return f"{url}.{_escaped(extension)}" if extension else url


def _upload_kind(resource: Any, triggered_at: datetime | None) -> AssetKind:
    """A first upload and an overwrite are both `upload`; `overwritten` tells, but is not always there."""
    overwritten = json_body.dig(resource, "overwritten")
    if isinstance(overwritten, bool):
        return AssetKind.REPLACED if overwritten else AssetKind.CREATED
    created_at = json_body.moment(resource, "created_at")
    uploaded_at = json_body.moment(resource, "version") or triggered_at  # a version is the Unix time of the upload
    if created_at is not None and uploaded_at is not None and abs(uploaded_at - created_at) <= _SAME_MOMENT:
        return AssetKind.CREATED
    return AssetKind.UPDATED


def _path_id(resource: Any, public_id: str) -> str:
    return f"image/{json_body.text(resource, 'type') or 'upload'}/{public_id}"


def _escaped(part: str) -> str:
    """Cloudinary's SDKs leave `:` and `/` of a public id as they are and encode the rest."""
    return quote(part, safe="/:")


def _with_public_id(url: str | None, public_id: str, other: str) -> str | None:
    """A delivery URL with another public id, where it ends in this one and perhaps an extension."""
    head, found, tail = (url or "").rpartition(f"/{_escaped(public_id)}")
    if not found or not re.fullmatch(r"(\.[A-Za-z0-9]+)?", tail):
        return None
    return f"{head}/{_escaped(other)}{tail}"


def _event_id(kind: str, payload: dict[str, Any], events: tuple[AssetEvent, ...]) -> str | None:
    """Cloudinary has no delivery id; the request's id serves, with what tells the request's notifications apart."""
    request_id = json_body.text(payload, "request_id")
    if request_id is None:
        return None
    parts = [request_id, kind, json_body.scalar(payload, "version") or "", *sorted(event.id for event in events)]
    return sha256(msgspec.json.encode(parts)).hexdigest()


def _sample(now: datetime, notification_type: str, fields: dict[str, Any]) -> Sample:
    moment = now.replace(microsecond=0)
    body = {
        "notification_type": notification_type,
        "timestamp": moment.isoformat(),
        "request_id": sha256(f"{notification_type} {iso(now)}".encode()).hexdigest()[:32],
        **fields,
        "notification_context": {"triggered_at": iso(now), "triggered_by": {"source": "api", "id": "614335564976464"}},
        "signature_key": "614335564976464",
    }
    return Sample(msgspec.json.encode(body), {"content-type": "application/json"})


_SAMPLE_ASSET = {"asset_id": "b5e6d2b39ba3e0869d67141ba7dba6cf", "resource_type": "image", "type": "upload"}


def _sample_file(now: datetime, public_id: str) -> dict[str, Any]:
    version = to_ms(now) // 1000
    path = f"res.cloudinary.com/demo/image/upload/v{version}/{public_id}.jpg"
    return {
        "version": version,
        "format": "jpg",
        "width": 1600,
        "height": 900,
        "bytes": 109669,
        "created_at": "2025-06-01T10:00:00Z",
        "etag": sha256(iso(now).encode()).hexdigest()[:32],
        "url": f"http://{path}",
        "secure_url": f"https://{path}",
    }


def _sample_overwrite(now: datetime) -> Sample:
    named = {"public_id": "products/hero", "original_filename": "hero", "overwritten": True}
    return _sample(now, "upload", _SAMPLE_ASSET | named | _sample_file(now, "products/hero"))


def _sample_rename(now: datetime) -> Sample:
    names = {"from_public_id": "products/hero", "to_public_id": "products/hero-2026"}
    return _sample(now, "rename", _SAMPLE_ASSET | names | _sample_file(now, "products/hero-2026"))


def _sample_delete(now: datetime) -> Sample:
    resource = _SAMPLE_ASSET | {"public_id": "products/hero", "version": 1767225600, "display_name": "hero"}
    return _sample(now, "delete", {"resources": [resource]})
