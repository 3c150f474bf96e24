"""Verification that may take the sender's published keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from service.domain.errors import KeyUnavailable, KeyUnknown, Refused
from service.domain.requests import RawRequest, Verified
from service.ingest.pipeline import Pipeline
from service.ingest.ports import Network


async def verified(
    pipeline: Pipeline, request: RawRequest, now: datetime, network: Network, urls: Sequence[str]
) -> Verified:
    """The request, judged with the keys at `urls`, which it names; raises Refused, and KeyUnavailable where a key may
    be what it lacks.

    A key id that is not among the known ones has them fetched once more: the sender may have begun to use a new one.
    """
    try:
        return await _judged(pipeline, request, now, network, urls)
    except KeyUnknown:
        newer = [await network.newer_key(url, now) for url in urls]
        if not any(newer):
            raise
    return await _judged(pipeline, request, now, network, urls)


async def _judged(
    pipeline: Pipeline, request: RawRequest, now: datetime, network: Network, urls: Sequence[str]
) -> Verified:
    """With as many of the keys as there are: of Adobe's two, one is enough."""
    keys: list[bytes] = []
    missing: KeyUnavailable | None = None
    for url in urls:
        try:
            keys.append(await network.key(url, now))
        except KeyUnavailable as error:
            missing = error
    if missing is not None and not keys:
        raise missing
    try:
        return pipeline.verify(request, now, b"\n".join(keys))
    except Refused:
        if missing is not None:
            raise missing from None
        raise
