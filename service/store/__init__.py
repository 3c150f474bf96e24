"""The store: plain SQL behind one facade a noun."""

from __future__ import annotations

from service.domain.errors import StoreUnavailable
from service.settings.addresses import is_postgres, sqlite_path
from service.store.engine import Engine


async def open_store(url: str, *, upgrade: bool = True) -> Engine:
    """The store at a URL, brought up to date unless `upgrade` is off; raises StoreUnavailable with the remedy."""
    try:
        if is_postgres(url):
            return await _open_postgres(url, upgrade=upgrade)
        path = sqlite_path(url)
    except ValueError as error:
        raise StoreUnavailable(f"the store {error}") from None
    from service.store.sqlite import SqliteEngine

    return await SqliteEngine.open(path, upgrade=upgrade)


async def _open_postgres(url: str, *, upgrade: bool) -> Engine:
    try:
        from service.store.postgres import PostgresEngine
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            f"PostgreSQL takes the extra `postgres`, which is not installed ({error.name}): "
            "pip install 'vercel-image-relay[postgres]'"
        ) from None
    return await PostgresEngine.open(url, upgrade=upgrade)
