"""S3 event records, as Amazon's and most S3-compatible stores' notifications carry them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Self
from urllib.parse import quote, unquote, unquote_plus

from msgspec import Struct

from service.domain.errors import Unreadable
from service.domain.events import AssetEvent, AssetKind
from service.providers import json_body
from service.providers.base import SourceProblem
from service.settings.model import Source

_SEQUENCER = re.compile(r"[0-9A-Fa-f]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# What JavaScript's encodeURI leaves alone beside letters and digits, without `?` and `#`, which would end the path.
_ENCODE_URI = "/-_.!~*'();:@&=+$,"
_KEPT_BY_ENCODE_URI = frozenset("!*'();:@&=+$,")  # which RFC 3986 has escaped

_DECODERS: Mapping[str, Callable[[str], str]] = {"verbatim": str, "url": unquote, "form": unquote_plus}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html says form-encoded;
# MinIO does the same; a Ceph gateway sends the key as it is, where decoding would corrupt `+` and `%`.
_ENCODINGS = {"aws:s3": "form", "minio:s3": "form", "ceph:s3": "verbatim"}


def bases_of(source: Source) -> Mapping[str, str]:
    """Bucket to base URL, each ending in `/` or in the `=` of a query; SourceProblem for what is no URL."""
    bases = {}
    for bucket, base in source.bases.items():
        if not base.startswith(("https://", "http://", "/")):
            raise SourceProblem("bases", f"the base of {bucket} is neither a URL nor a path on the site: {base!r}")
        bases[bucket] = base if base.endswith(("/", "=")) else f"{base}/"
    return bases


def object_urls(bases: Mapping[str, str], bucket: str, key: str) -> tuple[str, ...]:
    """The URLs of an object: RFC 3986's spelling, then the one of a browser's encodeURI where it differs.

    A bucket without a base has none: an unknown bucket's name never becomes part of a URL.
    """
    base = bases.get(bucket)
    if base is None:
        return ()
    strict = base + quote(key)
    return (strict,) if _KEPT_BY_ENCODE_URI.isdisjoint(key) else (strict, base + quote(key, safe=_ENCODE_URI))


def warnings_of_bases(source: Source) -> list[str]:
    """What is missing where neither a base nor a rule makes a URL of a key."""
    if source.rules is None and not source.bases:
        return ["without `bases` an object has no URL: the default rule purges nothing for it"]
    return []


class Objects(Struct, frozen=True):
    """Where a source's objects are served from, and how its sender encodes their keys."""

    bases: Mapping[str, str]
    encoding: str

    @classmethod
    def of(cls, source: Source, usual_encoding: str) -> Self:
        """Raises SourceProblem."""
        return cls(bases_of(source), source.key_encoding or usual_encoding)

    def event(
        self,
        kind: AssetKind,
        bucket: str | None,
        raw_key: str | None,
        *,
        occurred_at: datetime | None = None,
        content_hash: str | None = None,
        sequence: str | None = None,
    ) -> AssetEvent | None:
        """What happened to one object; None without a bucket or a key, and for control characters in either, which no
        URL a site uses can mean."""
        key = None if raw_key is None else _DECODERS[self.encoding](raw_key)
        if not bucket or not key or _CONTROL.search(bucket) or _CONTROL.search(key):
            return None
        return AssetEvent(
            kind=kind,
            id=f"{bucket}/{key}",
            urls=object_urls(self.bases, bucket, key),
            bucket=bucket,
            key=key,
            occurred_at=occurred_at,
            content_hash=content_hash,
            sequence=sequence,
        )


def read_records(document: Any, bases: Mapping[str, str], key_encoding: str | None) -> tuple[AssetEvent, ...]:
    """The asset events in `Records`. Left out: changes of tags, access, storage class or replicas, and keys with
    control characters, which no URL a site uses can mean."""
    return tuple(_events(document, bases, key_encoding))


def _events(document: Any, bases: Mapping[str, str], key_encoding: str | None) -> Iterator[AssetEvent]:
    for record in json_body.array(document, "Records"):
        kind = _kind(json_body.text(record, "eventName") or "")
        if kind is None:
            continue
        sender = json_body.text(record, "eventSource") or ""
        encoding = key_encoding or _ENCODINGS.get(sender, "form")
        amazon = sender == "aws:s3"  # a Ceph gateway's sequencers are in no order, of others nothing is said
        event = Objects(bases, encoding).event(
            kind,
            json_body.text(record, "s3", "bucket", "name"),
            json_body.text(record, "s3", "object", "key"),
            occurred_at=json_body.moment(record, "eventTime"),
            content_hash=json_body.text(record, "s3", "object", "eTag"),
            sequence=amazon_sequence(json_body.text(record, "s3", "object", "sequencer")) if amazon else None,
        )
        if event is not None:
            yield event


def amazon_sequence(sequencer: str | None) -> str | None:
    """A sequencer of Amazon's in a spelling that sorts, None for what is none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html: hexadecimal, the shorter
    one is filled up with zeros at its right, and of one key the larger is the later.
    """
    if sequencer is None or _SEQUENCER.fullmatch(sequencer) is None:
        return None
    return sequencer.upper().rstrip("0")


def listed(payload: Any, name: str) -> list[Any]:
    """The list a body is made of; Unreadable where it has none."""
    found = json_body.dig(payload, name)
    if not isinstance(found, list):
        raise Unreadable(f"the body has no list of {name}")
    return found


def id_of_batch(ids: Iterable[str | None]) -> str | None:
    """The one event's own id, or one made of all the ids in a batch; None where an event has none."""
    given = list(ids)
    found = sorted(one for one in given if one is not None)
    if not found or len(found) < len(given):
        return None
    return found[0] if len(found) == 1 else sha256("\n".join(found).encode(errors="surrogatepass")).hexdigest()


def _kind(event_name: str) -> AssetKind | None:
    """Amazon writes `ObjectCreated:Put`, others put `s3:` before it; an overwrite looks like a creation."""
    match event_name.removeprefix("s3:").partition(":")[0]:
        case "ObjectCreated":
            return AssetKind.UPDATED
        case "ObjectRemoved" | "LifecycleExpiration":
            return AssetKind.DELETED
    return None
