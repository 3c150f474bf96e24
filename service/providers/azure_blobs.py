"""What Azure Event Grid tells of blobs, in its own schema and as CloudEvents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from service.domain.events import AssetEvent, AssetKind
from service.providers import json_body
from service.providers.s3_records import Objects

_BLOB = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
Place = tuple[str | None, str | None]  # container and blob

_SEQUENCER = re.compile(r"[\x21-\x7e]{1,64}")


def blob_events(objects: Objects, document: Any, event_type: str) -> Iterator[AssetEvent]:
    """What one event tells of blobs; nothing where it tells of something else."""
    data = json_body.obj(document, "data")
    place = _blob(json_body.text(document, "subject"))
    found: list[AssetEvent | None] = []
    match event_type:
        case "Microsoft.Storage.BlobCreated":
            found = [_event(objects, AssetKind.UPDATED, document, place, data.get("url"))]
        case "Microsoft.Storage.BlobDeleted":
            found = [_event(objects, AssetKind.DELETED, document, place, data.get("url"))]
        case "Microsoft.Storage.BlobRenamed":
            # The subject names the blob as it is called now; the old name stands in its URL alone.
            old, new = data.get("sourceUrl"), data.get("destinationUrl")
            gone = _event(objects, AssetKind.DELETED, document, _place(old), old)
            came = _event(objects, AssetKind.RENAMED, document, _place(new), new)
            before = () if gone is None else gone.urls
            found = [gone, None if came is None else replace(came, earlier_urls=before)]
    yield from (event for event in found if event is not None)


def _event(objects: Objects, kind: AssetKind, document: Any, place: Place, url: Any) -> AssetEvent | None:
    """The URL that the event states stands beside those of the container's base."""
    sequencer = json_body.text(document, "data", "sequencer") or ""
    event = objects.event(
        kind,
        *place,
        occurred_at=json_body.moment(document, "eventTime") or json_body.moment(document, "time"),
        # With quotation marks in some versions of the schema, without them in others.
        content_hash=(json_body.text(document, "data", "eTag") or "").strip('"') or None,
        # https://learn.microsoft.com/azure/storage/blobs/storage-blob-event-overview: it sorts as text.
        sequence=sequencer if _SEQUENCER.fullmatch(sequencer) else None,
    )
    if event is None:
        return None
    stated = (url,) if json_body.is_url(url) else ()
    mime_type = json_body.text(document, "data", "contentType")
    return replace(event, urls=tuple(dict.fromkeys((*event.urls, *stated))), mime_type=mime_type)


def _blob(subject: str | None) -> Place:
    """Container and blob."""
    found = _BLOB.fullmatch(subject or "")
    return (None, None) if found is None else (found[1], found[2])


def _place(url: Any) -> Place:
    """Container and blob of a blob's own URL."""
    if not json_body.is_url(url):
        return None, None
    path = url.partition("?")[0].split("/", 3)
    container, _, name = path[3].partition("/") if len(path) > 3 else ("", "", "")
    return container or None, name or None
