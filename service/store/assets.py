"""Assets that were there before the relay: what an operator knows of them, beside what their events have told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from service.domain.clock import to_ms
from service.store.asset_keys import key_of
from service.store.engine import Engine, Tx

_encode = msgspec.json.Encoder().encode
_decode_urls = msgspec.json.Decoder(list[str]).decode


class Known(msgspec.Struct, frozen=True):
    """An asset's present URLs; `environment` is None where the sender has none."""

    asset_id: str
    urls: tuple[str, ...]
    environment: str | None = None


class Assets:
    """The memory of assets, as an operator adds to it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def learn(self, source: str, known: Sequence[Known], now: datetime, limit: int) -> int:
        """Remember these in one transaction; how many were not known at all.

        Of an asset whose events have told more, the URLs that are new join the earlier ones, of which `limit` stay.
        """
        return await self._engine.write(lambda tx: sum(_learn(tx, source, one, now, limit) for one in known))

    async def remembered(self) -> int:
        """How many there are, about: never a scan of a table that has grown large."""
        return int(await self._engine.read(lambda tx: tx.value("count_assets")))


def _learn(tx: Tx, source: str, known: Known, now: datetime, limit: int) -> bool:
    place: dict[str, Any] = {
        "source": source,
        "environment": key_of(known.environment),
        "asset_id": key_of(known.asset_id),
    }
    key = tuple(place.values())
    tx.lock([key])
    rows = tx.rows("recall_assets", [key])
    if not rows:
        # As of no time: the first event that comes is the newer one, whatever it says.
        tx.run("learn_asset", **place, urls=_encode(known.urls).decode(), now=to_ms(now))
        return True
    (row,) = rows
    earlier = _decode_urls(row["earlier_urls"])
    fresh = [url for url in known.urls if url not in (*_decode_urls(row["urls"]), *earlier)]
    if fresh:
        tx.run("add_earlier_urls", **place, earlier_urls=_encode([*fresh, *earlier][:limit]).decode())
    return False
