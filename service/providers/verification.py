"""The only place where a request becomes a `Verified` one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from service.domain.requests import RawRequest, Verified
from service.providers.base import Provider


def verify(provider: Provider, request: RawRequest, now: datetime, key: bytes | None = None) -> Verified:
    """Raises Refused unless the provider vouches for the request."""
    authentic = provider.verify(request, now, key)
    return Verified(
        source=provider.name,
        scheme=authentic.scheme,
        headers=request.header_map(provider.kept_headers),
        body=provider.stored_body(request.body),
        received_at=now,
        signed_at=authentic.signed_at,
    )


def restore(
    *,
    source: str,
    scheme: str,
    headers: Mapping[str, str],
    body: bytes,
    received_at: datetime,
    signed_at: datetime | None,
) -> Verified:
    """A request that was verified when it came in, read back from the store for a replay."""
    return Verified(
        source=source, scheme=scheme, headers=headers, body=body, received_at=received_at, signed_at=signed_at
    )
