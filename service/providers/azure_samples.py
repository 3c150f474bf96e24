"""What Azure Event Grid sends, made up: blobs in both schemas, and the subscription's validation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from service.domain.clock import iso, to_ms
from service.providers.base import Sample
from service.providers.cloud_events import STRUCTURED
from service.providers.plain_provider import json_sample

_TOPIC = (
    "/subscriptions/319a9601-1ec0-0000-aebc-8fe82724c81e/resourceGroups/images/providers/Microsoft.Storage"
    "/storageAccounts/myaccount"
)
_HOST = "https://myaccount.blob.core.windows.net/my-bucket"
_NAME = "products/hero.jpg"
_OLD = "products/hero-old.jpg"


def azure_samples(now: datetime) -> Mapping[str, Sample]:
    """https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage"""
    stated = {"url": f"{_HOST}/{_NAME}"}
    moved = {"sourceUrl": f"{_HOST}/{_OLD}", "destinationUrl": f"{_HOST}/{_NAME}"}
    etag = {"eTag": f"0x{sha256(iso(now).encode()).hexdigest()[:15].upper()}"}
    created = _event("BlobCreated", {"api": "PutBlob", **etag, **stated}, now)
    deleted = _event("BlobDeleted", {"api": "DeleteBlob", **stated}, now)
    directory = _event("DirectoryDeleted", {"api": "DeleteDirectory", "url": f"{_HOST}/products"}, now)
    code = _id("code", now)
    validation = {
        "id": _id("validation", now),
        "topic": _TOPIC,
        "subject": "",
        "data": {
            "validationCode": code,
            "validationUrl": f"https://rp-westeurope.eventgrid.azure.net/validate?id={code}",
        },
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": iso(now),
        "metadataVersion": "1",
        "dataVersion": "2",
    }
    return {
        "created": _posted([created]),
        "deleted": _posted([deleted]),
        "renamed": _posted([_event("BlobRenamed", {"api": "RenameFile", **moved}, now)]),
        "batch": _posted([created, deleted]),
        "cloudevent": _posted(_as_cloud_event(created), STRUCTURED),
        "directory": _posted([directory]),
        "validation": _posted([validation], kind="SubscriptionValidation"),
    }


def _event(kind: str, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "topic": _TOPIC,
        "subject": f"/blobServices/default/containers/my-bucket/blobs/{_NAME}",
        "eventType": f"Microsoft.Storage.{kind}",
        "eventTime": iso(now),
        "id": _id(kind, now),
        "data": {
            "clientRequestId": _id("client", now),
            "requestId": _id("request", now),
            "contentType": "image/jpeg",
            "contentLength": 109669,
            "blobType": "BlockBlob",
            "sequencer": f"{to_ms(now):032X}",
            **data,
        },
        "dataVersion": "",
        "metadataVersion": "1",
    }


def _as_cloud_event(event: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {"topic": "source", "eventType": "type", "eventTime": "time"}
    kept = {name: value for name, value in event.items() if not name.endswith("Version")}
    return {"specversion": "1.0", **{renamed.get(name, name): value for name, value in kept.items()}}


def _posted(document: Any, content_type: str = "application/json", kind: str = "Notification") -> Sample:
    headers = {
        "content-type": f"{content_type}; charset=utf-8",
        "aeg-event-type": kind,
        "aeg-subscription-name": "IMAGES",
        "aeg-delivery-count": "0",
    }
    return json_sample(document, headers)


def _id(seed: str, now: datetime) -> str:
    return str(UUID(bytes=sha256(f"{seed} {iso(now)}".encode()).digest()[:16]))
