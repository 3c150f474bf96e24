"""What Google's senders of Cloud Storage events have in common: the token they send, and what happens to objects."""

from __future__ import annotations

import base64
from hashlib import md5
from typing import Any

from msgspec.structs import replace

from service.domain.events import AssetEvent, AssetKind
from service.providers import json_body
from service.providers.base import SourceProblem
from service.providers.credential_only import CredentialOnly
from service.providers.s3_records import Objects, warnings_of_bases
from service.providers.token_credential import TokenCredential
from service.settings.model import Source

GOOGLE_AUTH = ("jwt", "query", "capability")
"""A subscription without a service account sends no token: then its URL has to carry the secret."""

SAMPLE_KEY = "products/red hero.jpg"

_KINDS = {  # by the last word of an event's name, in lower case
    "finalize": AssetKind.UPDATED,
    "finalized": AssetKind.UPDATED,
    "delete": AssetKind.DELETED,
    "deleted": AssetKind.DELETED,
    # With object versioning the bytes are kept, and nobody is served them any more.
    "archive": AssetKind.UNPUBLISHED,
    "archived": AssetKind.UNPUBLISHED,
}


class GoogleStorage(CredentialOnly):
    """https://docs.cloud.google.com/storage/docs/pubsub-notifications

    The token is all that is verified; it must be Google's own and of the one service account that pushes.
    """

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name, source)
        if isinstance(self.credential, TokenCredential) and self.credential.expected.preset != "google":
            raise SourceProblem("auth.jwt", "is not Google's: give `audience` and the service account's `email`")
        self.objects = Objects.of(source, "verbatim")

    @classmethod
    def completed(cls, source: Source) -> Source:
        if source.auth is None and not source.unverified:
            raise SourceProblem("auth", "is missing: give `auth: {jwt: {audience: …, email: …}}`, as the push has it")
        return source

    @classmethod
    def warnings(cls, source: Source) -> list[str]:
        return warnings_of_bases(source)

    def event(
        self,
        event_type: str,
        resource: dict[str, Any],
        *,
        bucket: str | None,
        name: str | None,
        time: Any,
        overwritten_by: str | None = None,
        overwrote: str | None = None,
    ) -> AssetEvent | None:
        """What became of one object, None where its bytes stay what they are.

        An overwrite comes as two messages, in any order: one deletes the old generation and names the one that
        overwrote it, one finalises that. Both say the same of what is served now.
        """
        kind = _KINDS.get(event_type.lower())
        generation = json_body.scalar(resource, "generation")
        if kind is None:
            return None
        replaced = overwrote is not None or overwritten_by is not None
        # The resource of an overwritten generation describes the old bytes.
        content_hash = None if overwritten_by else json_body.text(resource, "md5Hash") or generation
        found = self.objects.event(
            AssetKind.REPLACED if replaced else kind,
            bucket,
            name,
            occurred_at=json_body.moment(time),
            content_hash=content_hash,
            sequence=_sequence(overwritten_by or generation, gone=kind.gone and not replaced),
        )
        return None if found is None else replace(found, mime_type=json_body.text(resource, "contentType"))


def _sequence(generation: str | None, *, gone: bool) -> str | None:
    """Generations of an object grow, https://docs.cloud.google.com/storage/docs/metadata#generation-number; the end of
    one lies between it and the next."""
    if generation is None or len(generation) > 20 or not (generation.isascii() and generation.isdigit()):
        return None
    return f"{generation:0>20}{'-' if gone else ''}"


def sample_resource(generation: str) -> dict[str, str]:
    """An object as Cloud Storage describes it: https://docs.cloud.google.com/storage/docs/json_api/v1/objects"""
    return {
        "kind": "storage#object",
        "id": f"my-bucket/{SAMPLE_KEY}/{generation}",
        "name": SAMPLE_KEY,
        "bucket": "my-bucket",
        "generation": generation,
        "metageneration": "1",
        "contentType": "image/jpeg",
        "size": "109669",
        "md5Hash": base64.b64encode(md5(generation.encode(), usedforsecurity=False).digest()).decode(),
    }
