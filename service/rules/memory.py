"""Asset memory: what an event means in the light of earlier ones, and what to remember after it."""

from __future__ import annotations

from msgspec.structs import replace

from service.domain.clock import iso
from service.domain.events import AssetEvent, AssetKind
from service.domain.memory import AssetMemory
from service.rules.limits import sendable_text

_NOTHING = AssetMemory()


def with_memory(event: AssetEvent, memory: AssetMemory | None) -> AssetEvent:
    """The event with the remembered URLs among its earlier ones; an `updated` that changed the image is `replaced`."""
    if memory is None:
        return event
    present = frozenset(event.urls)
    remembered = (url for url in (*memory.urls, *memory.earlier_urls) if url not in present)
    kind = AssetKind.REPLACED if event.kind is AssetKind.UPDATED and _differs(event, memory) else event.kind
    return replace(event, kind=kind, earlier_urls=tuple(dict.fromkeys((*event.earlier_urls, *remembered))))


def next_memory(event: AssetEvent, memory: AssetMemory | None, limit: int) -> AssetMemory:
    """What to remember once `event` is stored, with at most `limit` earlier URLs.

    An event older than what is remembered adds its URLs to the earlier ones and changes nothing else: a late `updated`
    neither brings an old URL back nor revives what was deleted after it.
    """
    known = _NOTHING if memory is None else memory
    if known.is_newer_than(event):
        earlier = _without(known.urls, (*event.urls, *event.earlier_urls, *known.earlier_urls))
        return replace(known, earlier_urls=earlier[:limit])
    urls = _without((), event.urls) or known.urls
    return AssetMemory(
        urls=urls,
        earlier_urls=_without(urls, (*known.urls, *event.earlier_urls, *known.earlier_urls))[:limit],
        content_hash=event.content_hash or known.content_hash,
        occurred_at=event.occurred_at or known.occurred_at,
        gone=event.kind.gone,
        sequence=event.sequence,  # the number of another state would mislead: without one, times have to do
    )


def overtaken(event: AssetEvent, memory: AssetMemory | None) -> str | None:
    """Why an event comes too late to say what is so now, None for one that does not. Its images are purged all the
    same: a needless purge is better than a picture that stays."""
    if memory is None or not memory.is_newer_than(event):
        return None
    state = "that it is gone" if memory.gone else "a later state"
    since = "" if memory.occurred_at is None else f", as of {iso(memory.occurred_at)}"
    return f"older than what is known: {state}{since}"


def _differs(event: AssetEvent, memory: AssetMemory) -> bool:
    """Whether both sides know the URLs, or both the content hash, and disagree."""
    urls = _without((), event.urls)
    if urls and memory.urls and set(urls) != set(memory.urls):
        return True
    return bool(event.content_hash and memory.content_hash and event.content_hash != memory.content_hash)


def _without(current: tuple[str, ...], urls: tuple[str, ...]) -> tuple[str, ...]:
    """`urls` in order, each once, none of `current`; what could never be sent to Vercel is not worth remembering."""
    if not urls:
        return ()
    return tuple([url for url in dict.fromkeys(urls) if url not in current and sendable_text(url)])
